/**
 * The name that a connection says itself in its first bytes: TLS server_name (RFC 6066 §3, RFC 8446 §4.1.2, records
 * of §5.1) or HTTP's Host (RFC 9112 §3.2). Hostile input: bounded, never throws, never answers a name that is none.
 * Pure. Decrypts nothing: behind Encrypted Client Hello the name that can be read may be another's.
 */

/** What the bytes so far tell. */
export type FirstBytes =
  /** Not enough yet. */
  | { readonly kind: 'more' }
  /** Nothing that names anybody, whatever follows. */
  | { readonly kind: 'nameless' }
  | {
      readonly kind: 'named';
      /** Lower case, no dot at the end. */
      readonly name: string;
      readonly by: 'sni' | 'http';
      /** The inner hello is encrypted (or pretends to be): the name may be that of a front. */
      readonly isOuter: boolean;
    };

/** More than this is not read: a hello with large key shares has two to four kilobytes. */
export const maxFirstBytes = 8192;

const more: FirstBytes = { kind: 'more' };
const nameless: FirstBytes = { kind: 'nameless' };

/** Judges everything that has come so far. Beyond maxFirstBytes it is never 'more'. */
export function readFirstBytes(bytes: Uint8Array): FirstBytes {
  const first = bytes[0];
  if (first === undefined) return more;
  const found = first === handshakeRecord ? readTls(bytes) : readHttp(bytes);
  return found.kind === 'more' && bytes.length >= maxFirstBytes ? nameless : found;
}

const handshakeRecord = 22;
const recordHeader = 5;
/** RFC 8446 §5.1: a record's plaintext has so much at most. */
const maxRecord = 16_384;
const clientHello = 1;
const handshakeHeader = 4;
const serverNameExtension = 0;
/** RFC 9849. */
const encryptedHelloExtension = 0xfe0d;
const hostNameType = 0;

function readTls(bytes: Uint8Array): FirstBytes {
  const handshake = joinRecords(bytes);
  if (handshake === undefined) return nameless;
  if (handshake.length < handshakeHeader) return more;
  if (handshake[0] !== clientHello) return nameless;
  const size = new Cursor(handshake, 1, handshake.length).number(3) ?? 0;
  if (size > maxFirstBytes) return nameless;
  if (handshake.length < handshakeHeader + size) return more;
  return readHello(new Cursor(handshake, handshakeHeader, handshakeHeader + size)) ?? nameless;
}

/** What the records carry, as far as it has come; undefined where they are no handshake. */
function joinRecords(bytes: Uint8Array): Uint8Array | undefined {
  const joined = new Uint8Array(Math.min(bytes.length, maxFirstBytes));
  let used = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== handshakeRecord || (bytes[at + 1] ?? 3) !== 3) return undefined;
    const size = new Cursor(bytes, at + 3, bytes.length).number(2);
    if (size === undefined) break;
    // Fragments of nothing are forbidden, and would be a way to keep us reading.
    if (size === 0 || size > maxRecord) return undefined;
    const end = Math.min(at + recordHeader + size, bytes.length);
    const piece = bytes.subarray(at + recordHeader, end).subarray(0, joined.length - used);
    joined.set(piece, used);
    used += piece.length;
    at += recordHeader + size;
  }
  return joined.subarray(0, used);
}

/** Undefined where its lengths lie. */
function readHello(hello: Cursor): FirstBytes | undefined {
  const isShaped =
    hello.skip(2 + 32) && hello.skipVector(1) && hello.skipVector(2) && hello.skipVector(1) && !hello.isEnd;
  const extensions = isShaped ? hello.vector(2) : undefined;
  if (extensions === undefined) return undefined;
  let name: string | undefined;
  let isOuter = false;
  while (!extensions.isEnd) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type === undefined || body === undefined) return undefined;
    if (type === encryptedHelloExtension) isOuter = true;
    if (type !== serverNameExtension) continue;
    // RFC 8446 §4.2: an extension comes once.
    if (name !== undefined) return undefined;
    name = readServerName(body);
    if (name === undefined) return undefined;
  }
  return name === undefined ? undefined : { kind: 'named', name, by: 'sni', isOuter };
}

function readServerName(body: Cursor): string | undefined {
  const list = body.vector(2);
  while (list !== undefined && !list.isEnd) {
    const type = list.number(1);
    const name = list.vector(2);
    if (type === undefined || name === undefined) return undefined;
    if (type === hostNameType) return hostNameOf(name.text());
  }
  return undefined;
}

/** The longest method that is registered has 17 letters. */
const methodStart = /^[A-Z]{1,17}(?: |$)/;
const requestLine = /^[A-Z]{1,17} (\S+) HTTP\/1\.[01]$/;
const absoluteTarget = /^https?:\/\/([^/?#@]+)/i;

function readHttp(bytes: Uint8Array): FirstBytes {
  const text = latin1(bytes.subarray(0, maxFirstBytes));
  if (!methodStart.test(text.slice(0, 18))) return nameless;
  const end = text.indexOf('\r\n\r\n');
  const isWhole = end >= 0;
  if (!text.includes('\r\n')) return more;
  const lines = text.slice(0, isWhole ? end : text.lastIndexOf('\r\n')).split('\r\n');
  const target = requestLine.exec(lines[0] ?? '')?.[1];
  if (target === undefined) return nameless;
  // Only the whole head tells that there is one Host and no more.
  if (!isWhole) return more;
  const hosts = lines.slice(1).filter((line) => /^host:/i.test(line));
  if (hosts.length !== 1) return nameless;
  const written = absoluteTarget.exec(target)?.[1] ?? (hosts[0] ?? '').slice('host:'.length).trim();
  const name = hostNameOf(written.replace(/:\d{1,5}$/, ''));
  return name === undefined ? nameless : { kind: 'named', name, by: 'http', isOuter: false };
}

const hostName = /^(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const maxHostName = 253;

/** Undefined for addresses and for what is no name. */
function hostNameOf(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length > maxHostName || !hostName.test(name)) return undefined;
  // An address is no name, and no top-level domain is a number.
  return /(?:^|\.)\d+$/.test(name) ? undefined : name;
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Reads forward within bounds; every reader answers undefined or false beyond them. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get isEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** Big-endian, of 1 to 3 bytes. */
  number(size: number): number | undefined {
    if (this.#at + size > this.#end) return undefined;
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.#bytes[this.#at + i] ?? 0);
    this.#at += size;
    return value;
  }

  skip(size: number): boolean {
    this.#at += size;
    return this.#at <= this.#end;
  }

  /** What a length of `size` bytes announces. */
  vector(size: number): Cursor | undefined {
    const length = this.number(size);
    if (length === undefined || this.#at + length > this.#end) return undefined;
    const inner = new Cursor(this.#bytes, this.#at, this.#at + length);
    this.#at += length;
    return inner;
  }

  skipVector(size: number): boolean {
    return this.vector(size) !== undefined;
  }

  text(): string {
    return latin1(this.#bytes.subarray(this.#at, this.#end));
  }
}
