// `culvert ui` as a person starts it, and what any program of this machine can ask of it.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';

export const culvert: string = fileURLToPath(new URL('../../../node_modules/.bin/culvert', import.meta.url));
const patience = 60_000;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export class Ui {
  readonly address: URL;
  readonly #program: ChildProcess;
  readonly #temporary: string;

  private constructor(program: ChildProcess, temporary: string, address: string) {
    this.#program = program;
    this.#temporary = temporary;
    this.address = new URL(address);
  }

  /** `as`: words before it, to run it as somebody else. */
  static async start(socket: string, as: readonly string[] = []): Promise<Ui> {
    const temporary = mkdtempSync(join(tmpdir(), 'culvert-test-ui-'));
    chmodSync(temporary, 0o1777);
    const env = { PATH: process.env['PATH'], HOME: temporary, TMPDIR: temporary };
    const [first, ...words] = [...as, culvert, 'ui', '--no-open', '--json', '--socket', socket];
    const program = spawn(first, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    program.stdout.on('data', (text: Buffer) => (said += text));
    await vi.waitFor(() => expect(said).toContain('\n'), { timeout: patience });
    return new Ui(program, temporary, (JSON.parse(said) as { url: string }).url);
  }

  /** As any program of this machine could. */
  ask(path: string, headers: Record<string, string> = {}, method = 'GET', body = ''): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.address;
      const asked = request({ hostname, port, path, headers, method, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
      });
      asked.on('error', reject).end(body);
    });
  }

  /** The exit code, and what it left among the temporary files. */
  async end(
    signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL',
  ): Promise<{ code: number | null; left: readonly string[] }> {
    const code = await new Promise<number | null>((resolve) => {
      this.#program.once('exit', resolve);
      this.#program.kill(signal);
    });
    return { code, left: readdirSync(this.#temporary).filter((name) => name.startsWith('culvert-ui-')) };
  }

  async clear(): Promise<void> {
    if (this.#program.exitCode === null && this.#program.signalCode === null) await this.end('SIGTERM');
    rmSync(this.#temporary, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
