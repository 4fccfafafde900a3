// Two streams in memory that are each other's far end, as two sockets are: half close, backpressure, and a
// reset where one is destroyed before both directions have ended.
import { Duplex } from 'node:stream';

export function streamPair(): readonly [Duplex, Duplex] {
  const a: Duplex = half(() => b);
  const b: Duplex = half(() => a);
  return [a, b];
}

function half(other: () => Duplex): Duplex {
  const stream: Duplex = new Duplex({
    allowHalfOpen: true,
    emitClose: true,
    read() {
      // The other's write waited for this.
      const taken = waitingWrites.get(other());
      waitingWrites.delete(other());
      taken?.();
    },
    write(chunk: Buffer, _encoding, done) {
      if (other().push(chunk)) process.nextTick(done);
      else waitingWrites.set(stream, done);
    },
    final(done) {
      other().push(null);
      done();
    },
    destroy(error, done) {
      const far = other();
      const whole = stream.writableFinished && stream.readableEnded;
      if (!whole && !far.destroyed) {
        process.nextTick(() => far.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' })));
      }
      done(error);
    },
  });
  return stream;
}

/** Of each stream, the write that its far end has no room for yet. */
const waitingWrites = new WeakMap<Duplex, () => void>();
