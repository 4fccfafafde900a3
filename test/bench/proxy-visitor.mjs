// A program on the client's side of the proxy's benchmark. Prints one line of JSON.
//   proxy-visitor.mjs first-byte HOST PORT COUNT PROXY-PORT...   each way in turn: 0 = no proxy
//   proxy-visitor.mjs hold HOST PORT COUNT PROXY-PORT            opens connections and keeps them until its input ends

import { connect } from 'node:net';

const [what, host, port, count, ...proxies] = process.argv.slice(2);
const openAtOnce = 64;
const giveUpMs = 15_000;

/** A connection to HOST:PORT, by SOCKS5 where there is a proxy; `first` is called when it stands. */
function open(proxyPort, first) {
  return new Promise((resolve, reject) => {
    const socket =
      proxyPort === 0
        ? connect({ host, port: Number(port), noDelay: true })
        : connect({ host: '127.0.0.1', port: proxyPort, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), giveUpMs);
    const stands = () => {
      clearTimeout(timer);
      socket.removeAllListeners('data');
      first(socket);
      resolve(socket);
    };
    socket.on('error', (cause) => {
      clearTimeout(timer);
      reject(cause);
    });
    socket.on('connect', () => {
      if (proxyPort === 0) stands();
      else socket.write(Uint8Array.of(5, 1, 0));
    });
    if (proxyPort !== 0) speakSocks(socket, stands);
  });
}

function speakSocks(socket, stands) {
  let asked = false;
  socket.on('data', (chunk) => {
    if (!asked) {
      asked = true;
      const address = host.split('.').map(Number);
      socket.write(Uint8Array.of(5, 1, 0, 1, ...address, Number(port) >> 8, Number(port) & 255));
    } else if (chunk[1] === 0) {
      stands();
    } else {
      socket.destroy(new Error(`refused with code ${chunk[1]}`));
    }
  });
}

/** From the first packet of the connection to the first byte of the answer. */
async function firstByteMs(proxyPort) {
  const began = performance.now();
  const socket = await open(proxyPort, (one) =>
    one.write(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`),
  );
  await new Promise((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
  const ms = performance.now() - began;
  socket.destroy();
  return ms;
}

async function firstBytes() {
  const times = proxies.map(() => []);
  const warmUp = 20;
  for (let i = -warmUp; i < Number(count); i++) {
    for (const [k, proxyPort] of proxies.entries()) {
      const ms = await firstByteMs(Number(proxyPort));
      if (i >= 0) times[k].push(ms);
    }
  }
  return times;
}

async function hold() {
  const sockets = [];
  let failed = 0;
  let left = Number(count);
  const opener = async () => {
    while (left-- > 0) {
      try {
        sockets.push(await open(Number(proxies[0]), () => {}));
      } catch {
        failed++;
      }
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: openAtOnce }, opener));
  const result = { open: sockets.length, failed, seconds: (performance.now() - began) / 1000 };
  let closed = 0;
  for (const socket of sockets) socket.on('close', () => closed++);
  process.stdin.on('data', () => process.stdout.write(`${JSON.stringify({ closed })}\n`));
  process.stdin.on('end', () => process.exit(0));
  return result;
}

process.stdout.write(`${JSON.stringify(what === 'hold' ? await hold() : await firstBytes())}\n`);
