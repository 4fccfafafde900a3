// Builds the view: node desktop/build/build-program.ts [FOLDER]
import { buildView, builtFolder } from './build-view.ts';

await buildView(process.argv[2] ?? builtFolder);
