import { describe, expect, test } from 'vitest';
import { standIns } from '../../../../client/failover/stand-ins.ts';

function edge(name: string, ...allowedIps: string[]) {
  return { name, config: { peers: [{ publicKey: new Uint8Array(32), allowedIps }] } };
}

const edges = [
  edge('whole', '0.0.0.0/0', '::/0'),
  edge('halves', '0.0.0.0/1', '128.0.0.0/1', '::/0'),
  edge('old', '0.0.0.0/0'),
  edge('office', '10.0.0.0/8'),
  edge('lab', '10.2.0.0/16', '10.3.0.0/16'),
];

describe('who takes over', () => {
  test('is only one that carries all of what was carried: nothing leaves in the open', () => {
    expect(standIns(edges, 'whole')).toEqual(['halves']);
    expect(standIns(edges, 'halves')).toEqual(['whole']);
  });

  test('may carry more', () => {
    expect(standIns(edges, 'old')).toEqual(['whole', 'halves']);
    expect(standIns(edges, 'lab')).toEqual(['whole', 'halves', 'old', 'office']);
  });

  test('counts every peer of a file', () => {
    const [first] = edge('', '0.0.0.0/0').config.peers;
    const [second] = edge('', '::/0').config.peers;
    if (first === undefined || second === undefined) throw new Error('two peers');
    const two = { name: 'two', config: { peers: [first, second] } };

    expect(standIns([...edges, two], 'whole')).toEqual(['halves', 'two']);
  });

  test('is nobody where the edge is not known any more', () => {
    expect(standIns(edges, 'gone')).toEqual([]);
  });
});
