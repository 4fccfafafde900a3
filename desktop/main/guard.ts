// Applies the rules of security.ts to the whole app: no permissions, no way to another page, no second window, no web
// view, no request but for our own files. Decides nothing about protection.
import type { IpcMainInvokeEvent, Session, WebContents } from 'electron';
import type { ElectronParts } from './electron-parts.ts';
import { answerPage, type PageFiles } from './page-files.ts';
import { pageOrigin } from './security.ts';

const [scheme = ''] = pageOrigin.split(':');

/** Before the app is ready: afterwards a scheme can get no privileges any more. */
export function claimScheme({ app, protocol }: Pick<ElectronParts, 'app' | 'protocol'>): void {
  app.enableSandbox();
  protocol.registerSchemesAsPrivileged([
    { scheme, privileges: { standard: true, secure: true, supportFetchAPI: false, corsEnabled: false } },
  ]);
}

/** For every page that is ever made, ours and whatever else would come. */
export function guardPages({ app }: Pick<ElectronParts, 'app'>): void {
  app.on('web-contents-created', (_event, contents: WebContents) => {
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-redirect', (event) => event.preventDefault());
    contents.on('will-frame-navigate', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  });
}

export function guardSession(session: Session, files: PageFiles): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest((details, answer) => answer({ cancel: !isOurs(details.url) }));
  session.on('will-download', (event) => event.preventDefault());
  session.protocol.handle(scheme, (request) => answerPage(files, request.method, request.url));
}

/** The main frame of this window, and our page in it. */
export function isFromOurPage(event: IpcMainInvokeEvent, contents: WebContents | undefined): boolean {
  const frame = event.senderFrame;
  if (frame === null || contents === undefined) return false;
  return frame.parent === null && frame.origin === pageOrigin && event.sender.id === contents.id;
}

function isOurs(url: string): boolean {
  return url === pageOrigin || url.startsWith(`${pageOrigin}/`);
}
