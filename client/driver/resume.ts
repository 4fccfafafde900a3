/** Carries out what connection/resume.ts decided for a daemon that starts. */

import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Leftovers, whatToResume } from '../connection/resume.ts';
import type { Driver } from './driver.ts';
import { problemOf } from './effects.ts';
import type { HostPort } from './ports.ts';

export interface ResumeOptions {
  readonly driver: Driver;
  readonly host: HostPort;
  readonly log: Log;
}

export async function resume(left: Leftovers, options: ResumeOptions): Promise<void> {
  const { driver, log } = options;
  const resumption = whatToResume(left);
  if (resumption !== 'nothing') log.info('an earlier daemon left something behind', { answer: resumption });
  switch (resumption) {
    case 'connect':
      connect(left, driver);
      return;
    case 'restore':
      await restore(options);
      return;
    case 'restore-and-connect':
      if (await restore(options)) connect(left, driver);
      return;
    case 'stay-closed':
      driver.send({ kind: 'found-closed', problem: problemOf(new CulvertError('left-closed')) });
      return;
    default:
      return;
  }
}

function connect({ wishedEdge, reach }: Leftovers, driver: Driver): void {
  if (wishedEdge !== undefined) driver.send({ kind: 'connect', edge: wishedEdge, reach });
}

/** True where everything is undone. */
async function restore({ host, driver }: ResumeOptions): Promise<boolean> {
  try {
    await host.restore();
    return true;
  } catch (error) {
    driver.send({ kind: 'found-closed', problem: problemOf(error) });
    return false;
  }
}
