// What the window may do, as plain values: the policy of the page, the flags of its process.
// The main process applies them and decides nothing here; a test holds every value fast.
import type { WebPreferences } from 'electron';

/** The page comes from here and from nowhere else: never file:, never a web address. */
export const pageOrigin = 'app://culvert';

type Policy = Readonly<Record<string, string>>;

const policy: Policy = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self'",
  'font-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
  'require-trusted-types-for': "'script'",
  'trusted-types': "'none'",
};

/** Sent as a header with every page. Inline scripts and inline styles do not run under it. */
export const contentSecurityPolicy: string = headerOf(policy);

/** For `culvert ui`: a page in a browser has no preload script, so it talks to where it came from. */
export const browserPolicy: string = headerOf({ ...policy, 'connect-src': "'self'" });

/** Each is written out although some are defaults: a default can change with a new Electron. */
export const windowFlags: Readonly<WebPreferences> = {
  sandbox: true,
  contextIsolation: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  webviewTag: false,
  allowRunningInsecureContent: false,
  navigateOnDragDrop: false,
  spellcheck: false,
};

function headerOf(directives: Policy): string {
  return Object.entries(directives)
    .map(([directive, value]) => `${directive} ${value}`)
    .join('; ');
}
