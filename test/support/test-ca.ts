// A certificate authority for one test run, made with the system's openssl in a temporary folder.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface TestCa {
  /** PEM. */
  readonly certificate: string;
  readonly file: string;
  /** `names`: for example 'DNS:dns.example', 'IP:127.0.0.1'. */
  issue(...names: string[]): TestCertificate;
  /** As files, for programs. */
  issueFiles(...names: string[]): { readonly key: string; readonly cert: string };
  remove(): void;
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export function createTestCa(): TestCa {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-ca-'));
  const file = join(folder, 'ca.pem');
  const caKey = join(folder, 'ca.key');
  const root = ['req', '-x509', ...curve, '-days', '2', '-subj', '/CN=culvert test'];
  openssl([...root, '-keyout', caKey, '-out', file]);
  let issued = 0;
  const issueFiles = (...names: string[]): { key: string; cert: string } => {
    const base = join(folder, `leaf${++issued}`);
    const [key, request, cert, extensions] = ['.key', '.csr', '.pem', '.ext'].map((end) => `${base}${end}`);
    writeFileSync(extensions!, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`);
    openssl(['req', ...curve, '-subj', '/CN=leaf', '-keyout', key!, '-out', request!]);
    const sign = ['x509', '-req', '-in', request!, '-CA', file, '-CAkey', caKey, '-CAcreateserial'];
    openssl([...sign, '-days', '2', '-extfile', extensions!, '-out', cert!]);
    return { key: key!, cert: cert! };
  };
  return {
    certificate: readFileSync(file, 'utf8'),
    file,
    issueFiles,
    issue: (...names) => {
      const files = issueFiles(...names);
      return { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8') };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function openssl(words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: 'ignore' });
}
