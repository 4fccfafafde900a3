// The other programs of test/bench/dns.mjs: the upstream that everybody asks (unbound, which answers every name below
// bench.example by itself over UDP, TLS and HTTPS), and those that are measured beside us.
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const upstreamPorts = { plain: 5391, dot: 8531, doh: 4431 };
const unboundUsual = `  do-daemonize: no
  username: ""
  chroot: ""
  directory: "/tmp"
  pidfile: ""
  use-syslog: no
  logfile: "/dev/null"
  num-threads: 1
  outgoing-range: 4096
  num-queries-per-thread: 4096
  module-config: "iterator"`;

export function hasProgram(name) {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    return error.code !== 'ENOENT';
  }
}

export function startUpstream(folder, leaf) {
  const { plain, dot, doh } = upstreamPorts;
  return startUnbound(
    folder,
    'upstream',
    `server:
  interface: 127.0.0.1@${plain}
  interface: 127.0.0.1@${dot}
  interface: 127.0.0.1@${doh}
  tls-port: ${dot}
  https-port: ${doh}
  tls-service-key: ${leaf.key}
  tls-service-pem: ${leaf.cert}
  http-max-streams: 1000
${unboundUsual}
  local-zone: "bench.example." redirect
  local-data: "bench.example. 86400 IN A 192.0.2.1"
`,
  );
}

/** `way`: 'udp' or 'dot'. */
export function startUnboundPeer(folder, port, way) {
  const at = way === 'dot' ? `${upstreamPorts.dot}` : `${upstreamPorts.plain}`;
  return startUnbound(
    folder,
    `unbound-${way}`,
    `server:
  interface: 127.0.0.1@${port}
  do-not-query-localhost: no
  msg-cache-size: 64m
  rrset-cache-size: 128m
${unboundUsual}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${at}
  forward-tls-upstream: ${way === 'dot' ? 'yes' : 'no'}
`,
  );
}

export function startDnsmasq(port) {
  const words = ['-k', '-C', '/dev/null', '-p', String(port), '-a', '127.0.0.1', '-z', '-R', '-h'];
  const upstream = `127.0.0.1#${upstreamPorts.plain}`;
  return spawn('dnsmasq', [...words, '-c', '10000', '--dns-forward-max=4096', '-S', upstream], {
    stdio: 'ignore',
  });
}

/** Asks over HTTPS; no cache. */
export function startDnsdist(folder, port) {
  const file = join(folder, 'dnsdist.conf');
  writeFileSync(
    file,
    `setLocal("127.0.0.1:${port}")
setACL("127.0.0.0/8")
setSecurityPollSuffix("")
upstream = newServer({address="127.0.0.1:${upstreamPorts.doh}", tls="openssl", subjectName="127.0.0.1", dohPath="/dns-query",
  validateCertificates=false, maxInFlight=1000})
upstream:setUp()
`,
  );
  return spawn('dnsdist', ['--supervised', '--disable-syslog', '-C', file], { stdio: 'ignore' });
}

function startUnbound(folder, name, config) {
  const file = join(folder, `${name}.conf`);
  writeFileSync(file, config);
  return spawn('unbound', ['-d', '-c', file], { stdio: 'ignore' });
}
