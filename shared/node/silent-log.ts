/** A log that says nothing, for whoever must not load one that speaks: that takes a worker 15 ms. */

import type { Log } from '../core/base/ports.ts';

/** For tests and for callers without one. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
