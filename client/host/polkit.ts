/**
 * What polkit is told of us: that `culvert account …` may be run as root where an administrator agrees, for the window's
 * "Allow my account". One file, written by `culvert service install` and taken away by `remove`.
 */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface PolkitPlan {
  readonly path: string;
  /** The launcher that is run as root: absolute. */
  readonly program: string;
}

const ownMark = '<!-- Written by: culvert service install -->';

/**
 * The administrator is asked every time: nobody needs this often. It holds for the first word `account` alone, and that
 * command judges the account by the number that pkexec tells it.
 */
export function policyText(program: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
${ownMark}
<policyconfig>
  <vendor>culvert</vendor>
  <action id="org.culvert.account">
    <description>Let an account command culvert</description>
    <description xml:lang="de">Einem Konto erlauben, culvert zu steuern</description>
    <message>An administrator has to agree that your account may turn protection on and off.</message>
    <message xml:lang="de">Ein Administrator muss zustimmen, dass dein Konto den Schutz ein- und ausschalten darf.</message>
    <defaults>
      <allow_any>auth_admin</allow_any>
      <allow_inactive>auth_admin</allow_inactive>
      <allow_active>auth_admin</allow_active>
    </defaults>
    <annotate key="org.freedesktop.policykit.exec.path">${escaped(program)}</annotate>
    <annotate key="org.freedesktop.policykit.exec.argv1">account</annotate>
  </action>
</policyconfig>
`;
}

/** False where there is no polkit, or somebody else's file in that place: then nothing was written. */
export function writePolicy({ path, program }: PolkitPlan): boolean {
  if (!existsSync(dirname(path)) || (existsSync(path) && !isOurs(path))) return false;
  writeFileSync(path, policyText(program), { mode: 0o644 });
  return true;
}

/** True where it was there and ours. */
export function removePolicy(path: string): boolean {
  if (!existsSync(path) || !isOurs(path)) return false;
  rmSync(path);
  return true;
}

function isOurs(path: string): boolean {
  return readFileSync(path, 'utf8').includes(ownMark);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
