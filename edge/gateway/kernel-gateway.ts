/** The gateway's services beside a kernel that forwards: made from the configuration, on the interface's addresses. */

import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { MonoMs, UnixMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import type { Family } from '../../shared/node/resolver/well-known.ts';
import type { EdgeConfig } from '../config.ts';
import type { DnsAnswerer } from '../dns/answerer.ts';
import { DeviceFamilies } from '../dns/device-families.ts';
import { type DeviceEntry, DeviceMap } from '../egress/devices.ts';
import { type NameSink, namingAnswerer } from '../egress/naming-answerer.ts';
import { egressRules } from '../egress/settings.ts';
import { gatewayOf, prefixesOf } from '../network.ts';
import { carriedBy } from '../transport/carried-by.ts';
import { exitAddresses } from './exit-address.ts';
import { datagramHeaders, Gateway } from './gateway.ts';
import { type GatewayPort, type InterfaceGateway, serveOnInterface } from './interface-gateway.ts';
import { openAnswerer } from './open-answerer.ts';

export interface KernelGatewayOptions {
  readonly config: EdgeConfig;
  readonly log: Log;
  readonly unixNow: () => UnixMs;
  /** Where the API of devices is. */
  readonly apiSocket: string;
  /** Where the flows of a device go unless a rule says otherwise. */
  readonly pathOf: (device: string | undefined) => string;
  /** Of the tunnel: what carries it for whom; absent: UDP for all. */
  readonly status?: () => Promise<DeviceStatus>;
  readonly names: AnsweredNames;
}

/** Who must know what a device was answered, before the device does. */
export interface AnsweredNames extends NameSink {
  told(): Promise<void>;
}

export class KernelGateway {
  #name: string;
  #devicesNow: () => readonly DeviceEntry[];
  /** Made when it is asked for: devices may change many times between two questions. */
  #devices: DeviceMap | undefined;
  #families: DeviceFamilies | undefined;
  #gateway: Gateway | undefined;
  #open: InterfaceGateway | undefined;

  /** The interface is up. Never rejects for a port that cannot be had. */
  static async start(options: KernelGatewayOptions): Promise<KernelGateway> {
    const { config, log, unixNow, apiSocket, pathOf, names, status } = options;
    const clock = systemClock();
    const self = new KernelGateway(config);
    const addresses = prefixesOf(config.network).map(gatewayOf);
    const gateway = new Gateway({
      edgeName: () => self.#name,
      deviceOf: (address) => self.#nameOf(address),
      pathOf,
      exitOf: exitAddresses({ paths: config.paths, endpoint: config.endpoint, now: () => clock.now() }),
      ...(status === undefined ? {} : { carriedBy: carriedBy(status, () => clock.now()) }),
      answerer: toldBefore(
        openAnswerer({
          dns: config.dns,
          gateways: addresses,
          familyOf: (device) => self.#familyOf(device),
          clock,
          entropy: systemEntropy(),
          log,
        }),
        names,
        () => clock.now(),
      ),
      maxDatagram: config.mtu - datagramHeaders,
      unixNow,
      now: () => clock.now(),
      log,
      apiSocket,
    });
    self.#gateway = gateway;
    const texts = addresses.map((address) => formatAddress(address));
    self.#open = await serveOnInterface({ addresses: texts, gateway, log });
    return self;
  }

  private constructor(config: EdgeConfig) {
    this.#name = config.name;
    this.#devicesNow = () => egressRules(config).devices;
  }

  /** What listens. */
  get ports(): readonly GatewayPort[] {
    return this.#open?.ports ?? [];
  }

  /** `devices`: those of the store. */
  reload(config: EdgeConfig, devices: () => readonly DeviceEntry[]): void {
    this.#name = config.name;
    this.#devicesNow = () => [...egressRules(config).devices, ...devices()];
    this.#devices = undefined;
    this.#families = undefined;
  }

  /** Ends what those addresses have open here. */
  cut(addresses: readonly string[]): void {
    this.#gateway?.cut(addresses);
  }

  async close(): Promise<void> {
    await this.#open?.close();
  }

  #familyOf(device: string): Family | undefined {
    this.#families ??= new DeviceFamilies(this.#devicesNow());
    return this.#families.familyOf(device);
  }

  #nameOf(address: string): string | undefined {
    const bytes = parseAddress(address);
    this.#devices ??= new DeviceMap(this.#devicesNow());
    return bytes === undefined ? undefined : this.#devices.find(bytes)?.name;
  }
}

/** A device's first packet may follow its answer at once. */
function toldBefore(inner: DnsAnswerer, names: AnsweredNames, now: () => MonoMs): DnsAnswerer {
  const naming = namingAnswerer(inner, names, now);
  return {
    answer: async (query, about) => {
      const answer = await naming.answer(query, about);
      await names.told();
      return answer;
    },
    close: () => naming.close(),
  };
}
