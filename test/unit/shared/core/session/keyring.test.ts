import { describe, expect, it } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { Keypair } from '../../../../../shared/core/session/keypair.ts';
import { Keyring } from '../../../../../shared/core/session/keyring.ts';

interface Fixture {
  readonly ring: Keyring;
  readonly retired: number[];
  readonly wiped: number[];
  keypair(index: number, isInitiator: boolean): Keypair;
}

function fixture(): Fixture {
  const retired: number[] = [];
  const wiped: number[] = [];
  return {
    ring: new Keyring((keypair) => retired.push(keypair.localIndex)),
    retired,
    wiped,
    keypair(index, isInitiator) {
      const key = { seal() {}, open: () => true, wipe: () => wiped.push(index) };
      return new Keypair({
        send: key,
        receive: key,
        localIndex: index,
        remoteIndex: 0,
        isInitiator,
        createdAt: monoMs(0),
      });
    },
  };
}

const slots = (ring: Keyring): (number | undefined)[] => [
  ring.previous?.localIndex,
  ring.current?.localIndex,
  ring.next?.localIndex,
];

describe('a keyring', () => {
  it('lets the initiator use a new session at once and keeps the old one for what is on its way', () => {
    const { ring, keypair, retired } = fixture();

    ring.add(keypair(1, true));
    ring.add(keypair(2, true));
    ring.add(keypair(3, true));

    expect(slots(ring)).toEqual([2, 3, undefined]);
    expect(retired).toEqual([1]);
  });

  it('lets the responder wait for the first packet of a new session', () => {
    const { ring, keypair } = fixture();
    const fresh = keypair(2, false);
    ring.add(keypair(1, true));

    ring.add(fresh);
    const before = slots(ring);
    const promoted = ring.received(fresh);

    expect(before).toEqual([undefined, 1, 2]);
    expect(promoted).toBe(true);
    expect(slots(ring)).toEqual([1, 2, undefined]);
  });

  it('promotes nothing when packets come under the current or previous session', () => {
    const { ring, keypair } = fixture();
    const current = keypair(1, true);
    ring.add(current);

    expect(ring.received(current)).toBe(false);
    expect(slots(ring)).toEqual([undefined, 1, undefined]);
  });

  it('replaces an unused next session by a newer one and wipes it', () => {
    const { ring, keypair, retired, wiped } = fixture();

    ring.add(keypair(1, false));
    ring.add(keypair(2, false));

    expect(slots(ring)).toEqual([undefined, undefined, 2]);
    expect(retired).toEqual([1]);
    expect(wiped).toEqual([1, 1]);
  });

  it('keeps the unused next session as previous when an own handshake completes', () => {
    const { ring, keypair, retired } = fixture();
    ring.add(keypair(1, true));
    ring.add(keypair(2, false));

    ring.add(keypair(3, true));

    expect(slots(ring)).toEqual([2, 3, undefined]);
    expect(retired).toEqual([1]);
  });

  it('retires every session once when cleared', () => {
    const { ring, keypair, retired } = fixture();
    const fresh = keypair(3, false);
    ring.add(keypair(1, true));
    ring.add(keypair(2, true));
    ring.add(fresh);

    ring.clear();
    ring.clear();

    expect(slots(ring)).toEqual([undefined, undefined, undefined]);
    expect(retired).toEqual([1, 2, 3]);
  });
});
