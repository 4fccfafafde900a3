/** Addresses of a name by the edge's own resolver, as a device would be told them. */

import { formatAddress } from '../../shared/core/base/ip.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import type { DnsAnswerer } from '../dns/answerer.ts';

const maxBytes = 65_535;

/** Empty where there is no such name. `device`: who is told so, and may be asked about it later. */
export async function lookUp(
  answerer: Pick<DnsAnswerer, 'answer'>,
  host: string,
  device: string | undefined,
): Promise<readonly string[]> {
  const asked = [recordType.a, recordType.aaaa].map(async (type, id) => {
    const query = writeQuery({ id, name: host, type });
    const answer =
      query === undefined ? undefined : await answerer.answer(query, { overTcp: true, device, maxBytes });
    const message = answer === undefined ? undefined : readMessage(answer);
    return message?.isWellFormed === true ? message.addresses().map((one) => formatAddress(one.address)) : [];
  });
  return (await Promise.all(asked)).flat();
}
