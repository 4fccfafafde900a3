// What the kernel's list of connections says of devices' flows: who was answered, and who waits for too long.
import { describe, expect, test } from 'vitest';
import { FlowTracker } from '../../../../edge/host/tracked-flows.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const mark = (slot: number): number => slot * 0x0100_0000 + 9;

function waiting(port: number, slot = 3): string {
  return `ipv4     2 tcp      6 118 SYN_SENT src=10.83.0.2 dst=203.0.113.10 sport=${port} dport=8080 [UNREPLIED] src=203.0.113.10 dst=198.18.5.1 sport=8080 dport=${port} mark=${mark(slot)} zone=0 use=2`;
}

function answered(port: number): string {
  return `ipv4     2 tcp      6 431999 ESTABLISHED src=10.83.0.2 dst=203.0.113.10 sport=${port} dport=8080 src=203.0.113.10 dst=198.18.5.1 sport=8080 dport=${port} [ASSURED] mark=${mark(3)} zone=0 use=2`;
}

const flow = {
  slot: 3,
  source: Uint8Array.of(10, 83, 0, 2),
  destination: { address: Uint8Array.of(203, 0, 113, 10), port: 8080 },
};

describe('flows of the kernel', () => {
  test('are told once when they are answered', () => {
    const tracker = new FlowTracker();

    expect(tracker.handleList(`${waiting(1)}\n`, monoMs(0))).toEqual({ answered: [], waiting: [] });
    expect(tracker.handleList(`${answered(1)}\n`, monoMs(500)).answered).toEqual([flow]);
    expect(tracker.handleList(`${answered(1)}\n`, monoMs(1000)).answered).toEqual([]);
  });

  test('wait too long when a second look finds them without an answer, and no longer after a minute', () => {
    const tracker = new FlowTracker();
    const at = (ms: number): readonly unknown[] => tracker.handleList(waiting(1), monoMs(ms)).waiting;

    expect([at(0), at(500), at(1000), at(5000)]).toEqual([[], [], [flow], [flow]]);
    expect(tracker.isWaiting).toBe(true);
    expect(at(60_000)).toEqual([]);
    expect(tracker.isWaiting).toBe(false);
  });

  test('begin anew on another path', () => {
    const tracker = new FlowTracker();
    tracker.handleList(waiting(1), monoMs(0));

    expect(tracker.handleList(waiting(1, 4), monoMs(1000)).waiting).toEqual([]);
  });

  test('are of TCP, with the mark of a path, and from their beginning', () => {
    const tracker = new FlowTracker();
    const others = [
      waiting(1).replace(/mark=\d+/, 'mark=9'),
      waiting(2).replace(' tcp      6', ' udp      17'),
      waiting(3).replace('SYN_SENT', 'ESTABLISHED'),
      waiting(4).replace('dst=203.0.113.10', 'dst=nonsense'),
      'nonsense',
    ].join('\n');
    tracker.handleList(others, monoMs(0));

    expect(tracker.handleList(others, monoMs(1000))).toEqual({ answered: [], waiting: [] });
  });

  test('are read with the counters of a kernel that has them, and of IPv6', () => {
    const six =
      'ipv6     10 tcp      6 100 SYN_SENT src=fd7c:0001:0002:0003:0000:0000:0000:0002 dst=2001:0db8:0005:0000:0000:0000:0000:0010 sport=5000 dport=443 packets=2 bytes=120 [UNREPLIED] src=2001:0db8:0005:0000:0000:0000:0000:0010 dst=2001:0db8:000c:0000:0000:0000:0000:0001 sport=443 dport=5000 packets=0 bytes=0 mark=16777216 use=2';
    const tracker = new FlowTracker();
    tracker.handleList(six, monoMs(0));

    expect(tracker.handleList(six, monoMs(1000)).waiting.map(({ destination }) => destination.port)).toEqual([
      443,
    ]);
  });

  test('are never more than a thousand at once', () => {
    const tracker = new FlowTracker();
    const list = Array.from({ length: 3000 }, (_, i) => answered(i)).join('\n');

    expect(tracker.handleList(list, monoMs(0)).answered).toHaveLength(1024);
  });
});
