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
  const { driver, host, log } = options;
  const resumption = whatToResume(left);
  if (resumption !== 'nothing') log.info('an earlier daemon left something behind', { answer: resumption });
  switch (resumption) {
    case 'connect':
      if (left.wishedEdge !== undefined) driver.send({ kind: 'connect', edge: left.wishedEdge });
      return;
    case 'restore':
      try {
        await host.restore();
      } catch (error) {
        driver.send({ kind: 'found-closed', problem: problemOf(error) });
      }
      return;
    case 'stay-closed':
      driver.send({ kind: 'found-closed', problem: problemOf(new CulvertError('left-closed')) });
      return;
    default:
      return;
  }
}
