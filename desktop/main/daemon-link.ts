// The daemon's client: finds the socket, follows the events, tries again, and never remembers. Without an answer the
// view says so at once: nothing older is shown. Time and sockets are given, so that tests need neither.
import type { BodyOf, ResultOf, RouteName } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Status } from '../../shared/core/control/status.ts';
import type { DaemonView } from '../bridge/ipc.ts';
import { isStatus, viewOf } from './daemon-view.ts';

/** The part of `ControlClient` that is used. */
export interface Control {
  call<Name extends RouteName>(name: Name, body?: BodyOf<Name>): Promise<ResultOf<Name>>;
  events(signal: AbortSignal): AsyncGenerator<Status, void, undefined>;
}

export interface Place {
  readonly control: string;
  /** Read-only, for those who may not command. */
  readonly status: string;
}

export interface LinkParts {
  /** In the order in which they are tried. */
  readonly places: readonly Place[];
  readonly connect: (socket: string) => Control;
  /** Resolves after that long, or earlier where `signal` is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onChange: (view: DaemonView) => void;
}

const retryStepMs = 500;
const longestRetryMs = 3000;
/** A daemon that does not answer in this time is as good as gone. */
const answerMs = 2400;
/** How often it is asked although it says nothing: a stopped process keeps its socket. */
const heartbeatMs = 10_000;
/** The read-only socket has no events. */
const lookEveryMs = 1000;

type Ending = 'answered' | 'absent' | 'no-permission';

export class DaemonLink {
  readonly #parts: LinkParts;
  readonly #end = new AbortController();
  #view: DaemonView = { daemon: 'absent' };
  /** The daemon that answers now; undefined otherwise. */
  #control: Control | undefined;
  #mayChange = false;
  #network: string | undefined;
  /** Ends the present connection, so that the next try begins. */
  #drop: AbortController = new AbortController();
  /** Ends the present pause between two tries. */
  #hurry: AbortController = new AbortController();
  #asking: Promise<void> | undefined;
  #isTold = false;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  get view(): DaemonView {
    return this.#view;
  }

  /** Follows the daemon until `close`. */
  async run(): Promise<void> {
    let failures = 0;
    while (!this.#isClosed()) {
      const ending = await this.#follow();
      this.#control = undefined;
      this.#network = undefined;
      if (this.#isClosed()) return;
      this.#tell(ending === 'no-permission' ? { daemon: 'no-permission' } : { daemon: 'absent' });
      failures = ending === 'answered' ? 1 : failures + 1;
      this.#hurry = new AbortController();
      const signal = AbortSignal.any([this.#end.signal, this.#hurry.signal]);
      await this.#parts.wait(Math.min(failures * retryStepMs, longestRetryMs), signal);
    }
  }

  close(): void {
    this.#end.abort();
    this.#drop.abort();
  }

  /** Asks again now; resolves with what is known then. Calls at the same time share one question. */
  async refresh(): Promise<DaemonView> {
    if (this.#control === undefined) this.#hurry.abort();
    else await (this.#asking ??= this.#ask(this.#control).finally(() => (this.#asking = undefined)));
    return this.#view;
  }

  /** Throws the daemon's CulvertError; 'daemon-not-running' without a daemon, 'no-permission' where it may only look. */
  async call<Name extends RouteName>(name: Name, body?: BodyOf<Name>): Promise<ResultOf<Name>> {
    if (this.#view.daemon === 'no-permission') throw new CulvertError('no-permission');
    if (this.#control === undefined) throw new CulvertError('daemon-not-running');
    if (!this.#mayChange) throw new CulvertError('no-permission');
    return this.#control.call(name, body);
  }

  async #follow(): Promise<Ending> {
    let ending: Ending = 'absent';
    for (const place of this.#parts.places) {
      const control = this.#parts.connect(place.control);
      const found = await this.#first(control);
      if (found === 'answers') return this.#attend(control);
      if (found === 'no-permission') {
        const looked = await this.#look(place);
        // Allowed meanwhile: nothing in between says that there is no daemon.
        if (looked === 'opened' && (await this.#first(control)) === 'answers') return this.#attend(control);
        ending = looked === 'closed' ? 'no-permission' : 'answered';
      }
      if (ending === 'answered' || this.#isClosed()) return ending;
    }
    return ending;
  }

  /** Reads and commands. Ends with the daemon. */
  async #attend(control: Control): Promise<Ending> {
    this.#control = control;
    this.#mayChange = true;
    this.#drop = new AbortController();
    const { signal } = this.#drop;
    const beating = this.#beat(control, signal);
    try {
      for await (const status of control.events(signal)) this.#show(status);
    } catch {
      // However the events end: the view says that nothing is known.
    }
    this.#drop.abort();
    await beating;
    return 'answered';
  }

  /** Only reads. 'closed': not even that; 'opened': this account may command now. */
  async #look(place: Place): Promise<'closed' | 'opened' | 'ended'> {
    const control = this.#parts.connect(place.status);
    if ((await this.#first(control, false)) !== 'answers') return 'closed';
    this.#control = control;
    this.#mayChange = false;
    this.#drop = new AbortController();
    while (!this.#drop.signal.aborted && !this.#isClosed()) {
      await this.#parts.wait(lookEveryMs, AbortSignal.any([this.#drop.signal, this.#end.signal]));
      // The account may have been allowed meanwhile: then the control socket is the better one.
      if (await this.#opens(place)) return 'opened';
      await this.refresh();
    }
    return 'ended';
  }

  async #opens(place: Place): Promise<boolean> {
    try {
      await this.#inTime(this.#parts.connect(place.control).call('status'));
      return true;
    } catch {
      return false;
    }
  }

  async #first(control: Control, mayChange = true): Promise<'answers' | 'absent' | 'no-permission'> {
    try {
      const answer = await this.#inTime(control.call('status'));
      this.#mayChange = mayChange;
      if (mayChange) await this.#askNetwork(control);
      this.#show(answer);
      return 'answers';
    } catch (error) {
      return error instanceof CulvertError && error.code === 'no-permission' ? 'no-permission' : 'absent';
    }
  }

  async #beat(control: Control, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#parts.wait(heartbeatMs, signal);
      if (signal.aborted) return;
      await this.#askNetwork(control);
      await this.refresh();
    }
  }

  async #ask(control: Control): Promise<void> {
    try {
      const answer = await this.#inTime(control.call('status'));
      if (this.#control === control) this.#show(answer);
    } catch {
      if (this.#control !== control) return;
      this.#control = undefined;
      this.#tell({ daemon: 'absent' });
      this.#drop.abort();
    }
  }

  /** A daemon that knows no networks is a daemon like any other. */
  async #askNetwork(control: Control): Promise<void> {
    try {
      this.#network = (await this.#inTime(control.call('trusted'))).current;
    } catch {
      this.#network = undefined;
    }
  }

  async #inTime<Answer>(asked: Promise<Answer>): Promise<Answer> {
    const over = new AbortController();
    asked.catch(() => undefined);
    const late = this.#parts.wait(answerMs, over.signal).then((): never => {
      throw new CulvertError('timeout');
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } finally {
      over.abort();
    }
  }

  #show(answer: unknown): void {
    const network = this.#network === undefined ? {} : { network: this.#network };
    this.#tell(viewOf({ answer, mayChange: this.#mayChange && isStatus(answer), ...network }));
  }

  #tell(view: DaemonView): void {
    if (this.#isTold && view.daemon !== 'answers' && view.daemon === this.#view.daemon) return;
    this.#view = view;
    this.#isTold = true;
    this.#parts.onChange(view);
  }

  #isClosed(): boolean {
    return this.#end.signal.aborted;
  }
}
