/** The gateway of an edge without a network interface: its services listen in the userspace stack. */

import { formatAddress } from '../../shared/core/base/ip.ts';
import type { StackHost, TcpIncoming, UdpChannel } from '../../shared/node/flows/contract.ts';
import { type Gateway, gatewayDnsPort, gatewayHttpPort } from './gateway.ts';

/** The stack ends the listening when it ends itself. */
export function serveInStack(stack: StackHost, gateway: Gateway): void {
  stack.listenTcp(gatewayHttpPort, (incoming) => accept(incoming, gateway.serveHttp.bind(gateway)));
  stack.listenTcp(gatewayDnsPort, (incoming) => accept(incoming, gateway.serveDns.bind(gateway)));
  stack.listenUdp(gatewayDnsPort, (channel) => serveQuestions(channel, gateway));
}

function accept(incoming: TcpIncoming, serve: Gateway['serveHttp']): void {
  const stream = incoming.accept();
  if (stream !== undefined) serve(stream, formatAddress(incoming.source.address));
}

function serveQuestions(channel: UdpChannel, gateway: Gateway): void {
  const asker = formatAddress(channel.remote.address);
  const answer = async (question: Uint8Array): Promise<void> => {
    const reply = await gateway.answerDatagram(question, asker);
    if (reply !== undefined) channel.send(reply);
  };
  // The bytes are ours only until the listener returns.
  channel.onMessage((bytes) => void answer(bytes.slice()));
}
