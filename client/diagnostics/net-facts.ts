/** What was found out about the way to an edge, from this end and, where the edge answers, from its own. Data only. */

import type { DeviceDiagnosis } from '../../shared/core/registration/diagnosis-api.ts';
import type { ProblemCode } from '../../shared/core/registration/problem.ts';
import type { PortalVerdict } from '../portal/verdict.ts';

export interface NetFacts {
  /** This machine has a way out at all. */
  readonly network: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** What plain pages answered; absent where the user wants no such questions. */
  readonly pages?: PortalVerdict;
  /** The network answers questions for a server that does not exist; absent: nobody knows. */
  readonly dnsIntercepted?: boolean;
  readonly tunnel: TunnelFacts;
  /** Absent where no edge is known. */
  readonly edge?: EdgeFactsHere;
}

export interface TunnelFacts {
  readonly state: string;
  readonly transport?: string;
  /** Round trip through the tunnel. */
  readonly rttMs?: number;
  /** Only packets of this size pass. */
  readonly mtuReduced?: number;
  readonly mtuBroken: boolean;
  /** Why the tunnel left UDP although that answers. */
  readonly udpFault?: 'large-lost' | 'slow';
}

export interface EdgeFactsHere {
  readonly name: string;
  /** Numeric; undefined where its name is not known here. */
  readonly address?: string;
  /** Its file has a name for it, which somebody has to look up. */
  readonly byName?: boolean;
  /** The address is one where the edge has proven to be. */
  readonly isProven?: boolean;
  readonly udp: readonly UdpFacts[];
  /** Of questions sent to a port that answers, one after the other. */
  readonly lossPercent?: number;
  /** Of many datagrams to the edge, as it counted them; absent: nobody could count. */
  readonly uplinkLossPercent?: number;
  /** The largest IP packet that the way takes, as routers said; absent: none said anything. */
  readonly pathMtu?: number;
  readonly mapping?: Mapping;
  /** The edge saw one socket of ours come from the same place after a pause; absent: nobody could see. */
  readonly mappingHolds?: boolean;
  /** How often the edge saw our address or port change within five minutes; absent: nobody knows, or it was our doing. */
  readonly moves?: number;
  /** The edge counted a packet as large as the tunnel's largest; absent: nobody could count. */
  readonly largeArrives?: boolean;
  /** Absent where this machine is enrolled with no such edge: then nobody at the other end can be asked. */
  readonly api?: ApiFacts;
}

export type UdpAnswer = 'handshake' | 'cookie' | 'refused' | 'silent';

export interface UdpFacts {
  readonly port: number;
  readonly answer: UdpAnswer;
  readonly ms?: number;
}

/** How the way rewrites the source of our datagrams, as the edge sees them. */
export type Mapping = 'none' | 'stable' | 'varies';

export interface ApiFacts {
  /** 'impostor': somebody else answered; `issuer`: who signed its certificate. */
  readonly answer: 'answered' | 'impostor' | 'silent' | 'refused';
  readonly ms?: number;
  readonly issuer?: string;
  /** Where it refused: why. */
  readonly problem?: ProblemCode;
  /** Ours minus the edge's. */
  readonly clockAheadMs?: number;
  /** Before and after we tried by UDP. */
  readonly before?: DeviceDiagnosis;
  readonly after?: DeviceDiagnosis;
  /** The keys that are in our file for this edge. */
  readonly ownKey: string;
  readonly edgeKey: string;
}
