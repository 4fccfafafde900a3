/** The gateway's services beside a kernel that forwards: made from the configuration, on the interface's addresses. */

import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import type { EdgeConfig } from '../config.ts';
import { type DeviceEntry, DeviceMap } from '../egress/devices.ts';
import { egressRules } from '../egress/settings.ts';
import { gatewayOf, prefixesOf } from '../network.ts';
import { datagramHeaders, Gateway } from './gateway.ts';
import { type GatewayPort, type InterfaceGateway, serveOnInterface } from './interface-gateway.ts';
import { openAnswerer } from './open-answerer.ts';

export interface KernelGatewayOptions {
  readonly config: EdgeConfig;
  readonly log: Log;
  readonly unixNow: () => UnixMs;
  /** Where the API of devices is. */
  readonly apiSocket: string;
}

export class KernelGateway {
  #name: string;
  #devicesNow: () => readonly DeviceEntry[];
  /** Made when it is asked for: devices may change many times between two questions. */
  #devices: DeviceMap | undefined;
  #gateway: Gateway | undefined;
  #open: InterfaceGateway | undefined;

  /** The interface is up. Never rejects for a port that cannot be had. */
  static async start(options: KernelGatewayOptions): Promise<KernelGateway> {
    const { config, log, unixNow, apiSocket } = options;
    const self = new KernelGateway(config);
    const addresses = prefixesOf(config.network).map(gatewayOf);
    const gateway = new Gateway({
      edgeName: () => self.#name,
      deviceOf: (address) => self.#nameOf(address),
      answerer: openAnswerer({
        dns: config.dns,
        gateways: addresses,
        clock: systemClock(),
        entropy: systemEntropy(),
        log,
      }),
      maxDatagram: config.mtu - datagramHeaders,
      unixNow,
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
  }

  /** Ends what those addresses have open here. */
  cut(addresses: readonly string[]): void {
    this.#gateway?.cut(addresses);
  }

  async close(): Promise<void> {
    await this.#open?.close();
  }

  #nameOf(address: string): string | undefined {
    const bytes = parseAddress(address);
    this.#devices ??= new DeviceMap(this.#devicesNow());
    return bytes === undefined ? undefined : this.#devices.find(bytes)?.name;
  }
}
