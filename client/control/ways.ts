/**
 * What the daemon knows about ways: the edge's way out that is used, and what the tunnel costs in time. Joins the desks
 * of both with the connection; decides nothing.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { PathRoutes } from '../../shared/core/control/paths-api.ts';
import type { Status } from '../../shared/core/control/status.ts';
import type { DeviceConfig } from '../../shared/core/registration/api.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Handlers } from '../../shared/node/control/socket-server.ts';
import type { ConnectionState } from '../connection/state.ts';
import type { ProxyPort, TunnelPort } from '../driver/ports.ts';
import type { EnrollmentDesk } from '../enroll/enrollment-desk.ts';
import type { RegistrationStore } from '../enroll/registrations.ts';
import { ReceiptDesk } from '../receipt/receipt-desk.ts';
import { dialProxy, dialSystem, type Place } from '../receipt/ways-in.ts';
import type { AnswerWatch } from '../resolver/pipeline.ts';
import type { EdgeStore } from '../settings/edges.ts';
import { proxyAccessOf, type Settings } from '../settings/schema.ts';
import { NameTeller } from './name-teller.ts';
import { PathDesk } from './path-desk.ts';

export interface WaysParts {
  readonly state: () => ConnectionState;
  readonly tunnel: TunnelPort;
  readonly proxy: ProxyPort;
  readonly edges: EdgeStore;
  readonly enrollment: EnrollmentDesk;
  readonly registrations: RegistrationStore;
  readonly settings: () => Settings;
  /** Other names have to be told to the edge than before. */
  readonly onWatchChange: () => void;
  readonly clock: Clock;
}

export class Ways {
  readonly #parts: WaysParts;
  readonly #paths: PathDesk;
  readonly #receipts: ReceiptDesk;
  readonly #teller: NameTeller;

  constructor(parts: WaysParts) {
    const { enrollment, onWatchChange, clock } = parts;
    const connectedTo = (): string | undefined => this.#connected?.edge;
    this.#parts = parts;
    this.#paths = new PathDesk({ enrollment, connectedTo, now: () => clock.now() });
    this.#teller = new NameTeller({
      enrollment,
      connectedTo: () => (this.#connected?.reach === 'device' ? this.#connected.edge : undefined),
      onChange: onWatchChange,
      now: () => clock.now(),
    });
    this.#receipts = new ReceiptDesk({
      connectedTo,
      portsFor: (edge) => this.#portsFor(edge),
      handshakeMs: () => this.#handshakeMs(),
      pathNow: () => this.#paths.view,
      now: () => clock.now(),
      unixNow: () => clock.unix(),
    });
  }

  handlers(): Pick<Handlers, keyof PathRoutes> {
    return this.#paths.handlers();
  }

  /** Names that the edge has to hear of. */
  get watch(): AnswerWatch {
    return this.#teller.watch;
  }

  /** What stands in the status beside the rest. */
  get additions(): Pick<Status, 'path' | 'receipt'> {
    const path = this.#paths.view;
    const receipt = this.#receipts.view;
    return { ...(path === undefined ? {} : { path }), ...(receipt === undefined ? {} : { receipt }) };
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    this.#paths.handleChange();
    this.#receipts.handleChange();
    this.#teller.handleChange();
  }

  /** The edge has said how this machine should set itself up: its rules and paths may be others too. */
  handleConfig(edge: string, { hostRules }: Pick<DeviceConfig, 'hostRules'>): void {
    this.#teller.setRules(edge, hostRules);
    this.#paths.refresh();
  }

  close(): void {
    this.#receipts.close();
  }

  get #connected(): Extract<ConnectionState, { kind: 'connected' }> | undefined {
    const state = this.#parts.state();
    return state.kind === 'connected' && state.reach !== 'dns' ? state : undefined;
  }

  /** Undefined where the edge was imported: nobody would answer. */
  #portsFor(edge: string): ReturnType<ConstructorParameters<typeof ReceiptDesk>[0]['portsFor']> {
    const { registrations, edges, proxy, settings } = this.#parts;
    const registration = registrations.find(edge);
    // An edge names itself as the resolver of its devices.
    const gateway = edges.profile(edge).config.interface.dns[0];
    if (registration === undefined || gateway === undefined) return undefined;
    if (this.#connected?.reach !== 'proxy') {
      // All traffic is in the tunnel: what went directly would be a leak.
      return {
        dialTunnel: (port, signal) => dialSystem({ host: gateway, port }, signal),
        dialDirect: undefined,
      };
    }
    return {
      dialTunnel: (port, signal) => {
        const { credentials } = proxyAccessOf(settings());
        return dialProxy(placeOf(proxy), credentials, { host: gateway, port }, signal);
      },
      dialDirect: (signal) => dialSystem({ host: registration.host, port: registration.port }, signal),
    };
  }

  async #handshakeMs(): Promise<number | undefined> {
    const { tunnel, proxy } = this.#parts;
    const status = await (this.#connected?.reach === 'proxy' ? proxy : tunnel).status();
    const times = (status?.peers ?? []).flatMap((peer) => peer.handshakeMs ?? []);
    return times.length === 0 ? undefined : Math.round(Math.min(...times) * 10) / 10;
  }
}

function placeOf(proxy: ProxyPort): Place {
  const [host, port] = (proxy.place?.address ?? '').split(':');
  if (host === undefined || port === undefined) throw new CulvertError('not-connected');
  return { host, port: Number(port) };
}
