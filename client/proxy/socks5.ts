/**
 * The conversation of SOCKS5 (RFC 1928): method, login where one is asked for, request, reply. CONNECT
 * and UDP ASSOCIATE; BIND is refused. Names travel to the dialer as they came.
 */

import { credentialsMatch } from './access.ts';
import type { ClientConnection } from './connection.ts';
import type { ProxyContext } from './context.ts';
import { asDialError, failureWords } from './failures.ts';
import {
  commandAssociate,
  commandConnect,
  encodeLoginReply,
  encodeMethod,
  encodeReply,
  methodNone,
  methodPassword,
  methodUnacceptable,
  parseGreeting,
  parseLogin,
  parseRequest,
  reply,
  type Socks5Request,
} from './socks5-wire.ts';
import { serveAssociation } from './udp-associate.ts';

export async function serveSocks5(connection: ClientConnection, context: ProxyContext): Promise<void> {
  context.counters.accepted.socks5++;
  if (!(await agreeOnMethod(connection, context))) return;
  const read = await connection.read(parseRequest);
  if (read.kind === 'gone') return connection.leave();
  if (read.kind === 'bad') return connection.leaveMalformed();
  if (read.value === 'bad-address-type') return connection.leaveMalformed(encodeReply(reply.badAddressType));
  connection.expectNothing();
  const request = read.value;
  if (request.command === commandConnect) return connect(connection, request);
  if (request.command === commandAssociate) return serveAssociation(connection, request, context);
  connection.leave(encodeReply(reply.badCommand));
}

/** True when the request may follow; else the client has been told. */
async function agreeOnMethod(connection: ClientConnection, context: ProxyContext): Promise<boolean> {
  const greeting = await connection.read(parseGreeting);
  if (greeting.kind === 'complete') {
    const method = chooseMethod(greeting.value, context.credentials !== undefined);
    if (method === methodPassword) return logIn(connection, context);
    if (method === methodNone) {
      connection.stream.write(encodeMethod(methodNone));
      return true;
    }
    context.counters.unauthorized++;
    connection.leave(encodeMethod(methodUnacceptable));
  } else if (greeting.kind === 'bad') connection.leaveMalformed();
  else connection.leave();
  return false;
}

/** A client that insists on a password where none is asked for may say one. */
export function chooseMethod(offered: Uint8Array, passwordWanted: boolean): number {
  if (!passwordWanted && offered.includes(methodNone)) return methodNone;
  return offered.includes(methodPassword) ? methodPassword : methodUnacceptable;
}

async function logIn(connection: ClientConnection, context: ProxyContext): Promise<boolean> {
  connection.stream.write(encodeMethod(methodPassword));
  const read = await connection.read(parseLogin);
  if (read.kind === 'gone') connection.leave();
  if (read.kind === 'bad') connection.leaveMalformed();
  if (read.kind !== 'complete') return false;
  const { credentials, counters } = context;
  const { username, password } = read.value;
  const accepted = credentials === undefined || credentialsMatch(credentials, username, password);
  if (accepted) {
    connection.stream.write(encodeLoginReply(true));
    return true;
  }
  counters.unauthorized++;
  connection.leave(encodeLoginReply(false));
  return false;
}

const granted = encodeReply(reply.succeeded);

async function connect(connection: ClientConnection, request: Socks5Request): Promise<void> {
  const { host, port } = request;
  if (host === undefined || port === 0) {
    // No such host can exist, and nothing has to be asked to know it.
    return connection.leave(encodeReply(failureWords['name-not-found'].socks5));
  }
  try {
    const upstream = await connection.dial({ host, port });
    connection.stream.write(granted);
    connection.join(upstream);
  } catch (error) {
    connection.leave(encodeReply(failureWords[asDialError(error).failure].socks5));
  }
}
