// Who may talk to `culvert ui`: the browser that opened the one-time address, from that page alone. Pure: randomness is
// given, headers are judged, nothing is sent here.
import { createHash, timingSafeEqual } from 'node:crypto';

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export const keyHeader = 'x-culvert-key';
const secretBytes = 32;
const maxCookies = 64;

export interface Opening {
  /** For the cookie. */
  readonly session: string;
  /** For the memory of the page. */
  readonly key: string;
}

/** One for the program. The token opens once; what it opened stays open until the program ends. */
export class Entrance {
  readonly #host: string;
  readonly #cookie: string;
  readonly #opening: Opening;
  #token: string | undefined;

  constructor(port: number, random: (bytes: number) => Uint8Array) {
    const secret = (): string => Buffer.from(random(secretBytes)).toString('base64url');
    this.#host = `127.0.0.1:${port}`;
    // Browsers give cookies to every port of an address, so two of us must not share a name.
    this.#cookie = `culvert-ui-${port}`;
    this.#opening = { session: secret(), key: secret() };
    this.#token = secret();
  }

  /** Undefined once it was used. */
  get address(): string | undefined {
    return this.#token === undefined ? undefined : `http://${this.#host}/?token=${this.#token}`;
  }

  /**
   * Whether a request was meant for us, by the name in it: a page elsewhere that makes its own name lead to this
   * machine sends that name. And whether it comes from our page, where a browser says so.
   */
  isMeantForUs(method: string, headers: Headers): boolean {
    const { host, origin } = headers;
    const site = headers['sec-fetch-site'];
    if (host !== this.#host) return false;
    if (origin !== undefined && origin !== `http://${this.#host}`) return false;
    if (method !== 'GET' && origin === undefined) return false;
    // The first page may be opened from anywhere; everything after it only from itself.
    return site === undefined || site === 'none' || site === 'same-origin' || method === 'GET';
  }

  /** Uses the token up. Undefined for a wrong or a dead one. */
  open(token: string | null): Opening | undefined {
    if (token === null || this.#token === undefined || !isSame(token, this.#token)) return undefined;
    this.#token = undefined;
    return this.#opening;
  }

  cookieFor({ session }: Opening): string {
    return `${this.#cookie}=${session}; HttpOnly; SameSite=Strict; Path=/`;
  }

  /** Enough for files that hold no secret. */
  hasCookie(headers: Headers): boolean {
    const { cookie } = headers;
    if (typeof cookie !== 'string') return false;
    const mine = cookie
      .split(';')
      .slice(0, maxCookies)
      .map((one) => one.trim())
      .find((one) => one.startsWith(`${this.#cookie}=`));
    return mine !== undefined && isSame(mine.slice(this.#cookie.length + 1), this.#opening.session);
  }

  /** What reads and what commands. */
  mayCall(headers: Headers): boolean {
    const key = headers[keyHeader];
    const site = headers['sec-fetch-site'];
    const isOurPage = site === undefined || site === 'same-origin';
    return isOurPage && typeof key === 'string' && isSame(key, this.#opening.key) && this.hasCookie(headers);
  }
}

/** In a time that does not tell how much of it was right. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
