/** What is given to those who watch edges: every metric that dashboard and alerts speak of is exported. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { EdgeStatus } from '../../../../edge/admin/status.ts';
import { EdgeNumbers } from '../../../../edge/metrics/numbers.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { describeWith, findProgram } from '../../../support/requires.ts';

const alertsPath = fileURLToPath(new URL('../../../../edge/metrics/alerts.yaml', import.meta.url));
const dashboardPath = new URL('../../../../edge/metrics/grafana-dashboard.json', import.meta.url);
const hour = 3_600_000;

/** An edge of which everything can be told. */
const status = {
  version: '1',
  egress: {
    backend: 'userspace',
    flows: {
      connections: 2,
      udpFlows: 1,
      memoryBytes: 5,
      dns: { cacheEntries: 9, cacheHits: 7, cacheMisses: 2, asked: 2, failed: 1 },
      refused: { private: 4 },
    },
    guard: { spoofed: 1 },
  },
  listen: { udp: [51820, 51821], https: [443] },
  devices: [{ udpPort: 51821, lastSeen: new Date(hour).toISOString(), rxBytes: 5, txBytes: 7 }],
  enrolled: 1,
  drops: { replayed: 3 },
  paths: [
    {
      id: 'a',
      type: 'direct',
      state: 'good',
      trouble: null,
      rttMs: 20,
      lossPercent: 5,
      flows: 3,
      opened: 9,
      failed: 2,
    },
    {
      id: 'b',
      type: 'socks5',
      state: 'down',
      trouble: 'refused',
      rttMs: null,
      lossPercent: 100,
      flows: 0,
      opened: 0,
      failed: 0,
    },
  ],
  certificate: {
    kind: 'acme',
    expiresAt: new Date(10 * hour).toISOString(),
    acme: { state: 'failing', domains: [], failures: 3, nextTry: '' },
  },
  activity: { handshakes: 8, listeners: 1, requests: { 'POST /v1/devices 201': 2, 'other 404': 5 } },
} as unknown as EdgeStatus;

async function exported(): Promise<string> {
  return new EdgeNumbers().text(status, unixMs(hour));
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly remedy: string };
}

function rules(): readonly Rule[] {
  const file = parse(readFileSync(alertsPath, 'utf8')) as { groups: { rules: Rule[] }[] };
  return file.groups.flatMap((group) => group.rules);
}

function expressions(): readonly string[] {
  const dashboard = JSON.parse(readFileSync(dashboardPath, 'utf8')) as {
    panels: { targets: { expr: string }[] }[];
  };
  const shown = dashboard.panels.flatMap((panel) => panel.targets.map(({ expr }) => expr));
  return [...shown, ...rules().map(({ expr }) => expr)];
}

describe('dashboard and alerts', () => {
  test('speak of metrics and labels that an edge exports', async () => {
    const text = await exported();
    const names = new Set(text.split('\n').map((line) => /^(culvert_\w+)/.exec(line)?.[1]));
    const spoken = expressions().flatMap((expr) => [...expr.matchAll(/culvert_\w+/g)].map(([name]) => name));
    const labels = expressions().flatMap((expr) =>
      [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/, */)),
    );

    expect(spoken.length).toBeGreaterThan(30);
    expect(spoken.filter((name) => !names.has(name))).toEqual([]);
    expect(labels.filter((label) => label !== 'instance' && !text.includes(`${label}="`))).toEqual([]);
  });

  test('say one sentence and one remedy for each alert', () => {
    expect(rules().length).toBeGreaterThan(5);
    for (const { alert, annotations } of rules()) {
      expect([alert, annotations.summary]).toEqual([alert, expect.stringMatching(/^[A-Z].*\.$/)]);
      expect([alert, annotations.remedy]).toEqual([alert, expect.stringMatching(/\S/)]);
    }
  });
});

describeWith({ tools: ['promtool'] }, 'Prometheus itself', () => {
  const promtool = findProgram('promtool') ?? '';

  test('takes the alerts as rules', () => {
    const { status: code, stderr } = spawnSync(promtool, ['check', 'rules', alertsPath], {
      encoding: 'utf8',
    });

    expect([code, stderr]).toEqual([0, '']);
  });

  test('reads the numbers, and finds nothing to say against them', async () => {
    const own = (await exported()).replaceAll(/^.*culvert_edge_(?:nodejs|process).*\n/gm, '');
    const { status: code, stderr } = spawnSync(promtool, ['check', 'metrics'], {
      input: own,
      encoding: 'utf8',
    });

    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('the numbers beside the packets', () => {
  test('tell the API, the certificate, paths and workers, and no names', async () => {
    const text = await exported();

    for (const line of [
      'culvert_api_requests_total{method="POST",route="/v1/devices",code="201"} 2',
      'culvert_api_requests_total{method="",route="other",code="404"} 5',
      'culvert_certificate_expiry_timestamp_seconds 36000',
      'culvert_acme_state{state="failing"} 1',
      'culvert_acme_state{state="valid"} 0',
      'culvert_acme_failures_total 3',
      'culvert_handshakes_total 8',
      'culvert_dns_questions_total{result="cached"} 7',
      'culvert_dns_cache_entries 9',
      'culvert_path_up{path="a"} 1',
      'culvert_path_up{path="b"} 0',
      'culvert_path_rtt_seconds{path="a"} 0.02',
      'culvert_path_failed_total{path="a"} 2',
      'culvert_worker_peers{worker="2"} 1',
      'culvert_peers{state="connected"} 1',
    ]) {
      expect(text).toContain(`\n${line}\n`);
    }
  });
});
