// Watches the network of the namespace that it runs in and prints what it is told, one JSON line each, with the wall
// clock. Ends when its standard input ends, and says then what it left open.
import { readdirSync, readFileSync } from 'node:fs';
import { lossIn } from '../../../client/host/network/lost.ts';
import { SleepWatch } from '../../../client/host/network/sleep.ts';
import { NetworkWatch, openNetworkSource } from '../../../client/host/network/watch.ts';

const ours = { interfaceName: 'culvert0', table: 8383, priorities: [8381, 8382, 8383] };

function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ ...line, at: Date.now() })}\n`);
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Times that this thread went to sleep of its own will, and so was woken. */
function wakeUps(): number {
  return Number(
    /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0,
  );
}

const log = { debug() {}, info() {}, warn: (text: string) => say({ warn: text }), error() {} };
// What is opened once and stays: the event loop's own.
const first = openNetworkSource(log);
first.watch(() => undefined);
first.close();
await new Promise((resolve) => setTimeout(resolve, 50));
const before = descriptors();
const source = openNetworkSource(log);
const watch = new NetworkWatch({
  source,
  log,
  own: () => [ours.interfaceName],
  targets: () => process.argv.slice(2),
  mark: () => 0x8383,
  onFact: (fact) => say({ fact: fact.kind }),
  onNews: (news) => say({ news: news.messages.length, loss: lossIn(news, ours) ?? 'none' }),
});
const sleep = new SleepWatch({ onFact: (fact) => say({ fact: fact.kind }) });
watch.start();
sleep.start();
say({ source: source.kind, sleep: sleep.kind, network: watch.current });
process.stdin.on('data', (bytes: Buffer) => {
  if (bytes.toString().includes('wakeups')) say({ wakeUps: wakeUps() });
  for (let i = 0; bytes.toString().includes('look') && i < 200; i++) watch.check();
  if (bytes.toString().includes('look')) say({ looked: true });
});
process.stdin.on('end', () => {
  watch.close();
  sleep.close();
  setTimeout(() => say({ leaked: descriptors() - before, network: watch.current }), 50);
});
