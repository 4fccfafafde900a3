/** Composition root of the flow worker of an edge without privileges. Not imported by anybody. */

import { runFlowThread } from '../shared/node/flows/flow-thread-body.ts';
import { makeEgressRole } from './egress/egress-role.ts';

runFlowThread(makeEgressRole);
