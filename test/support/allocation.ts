/** How many bytes of JavaScript heap some work allocates: what collections freed, and what is left more. */

import { GCProfiler, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const collect = exposeCollector();

/** Bytes allocated by `work`. Garbage of before is collected first; collections while it runs are added up. */
export function bytesAllocated(work: () => void): number {
  const profiler = new GCProfiler();
  collect();
  collect();
  profiler.start();
  const before = getHeapStatistics().used_heap_size;
  work();
  const after = getHeapStatistics().used_heap_size;
  const { statistics } = profiler.stop();
  let freed = 0;
  for (const { beforeGC, afterGC } of statistics) {
    freed += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
  }
  return after - before + freed;
}

function exposeCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const found = runInNewContext('gc') as () => void;
  return found;
}
