// Every state that a person can meet, as the snapshot that the window would get. Addresses are those of documentation.
import type { AppView, CommandName, DaemonView, Snapshot } from '../../../desktop/bridge/ipc.ts';
import { type HealthCode, healthItem } from '../../../shared/core/control/health.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import { textKeyFor, wordsFor } from '../../../shared/core/control/texts.ts';

/** The clock of every picture. */
export const sceneTime = '2026-11-20T12:00:00Z';

export const app: AppView = {
  version: '0.1.0',
  choices: { language: 'system', theme: 'system', startAtLogin: true, notifications: true },
  unsupported: [],
};

const base: Status = {
  state: 'off',
  mode: 'tunnel+doh',
  since: sceneTime,
  addresses: [],
  traffic: { rxBytes: 0, txBytes: 0 },
  health: [],
  version: '0.1.0',
};

const up: Partial<Status> = {
  edge: { name: 'home', endpoint: '203.0.113.5:51820', transport: 'udp' },
  path: { id: 'frankfurt', chosen: 'auto', rttMs: 14.2, lossPercent: 0 },
  verified: { at: sceneTime, rttMs: 11.8, visibleAddress: '198.51.100.7' },
  addresses: ['10.83.0.2'],
  dns: { transport: 'doh', families: 'off', upstream: 'https://1.1.1.1/dns-query', listen: '127.0.83.53:53' },
  traffic: { rxBytes: 48_300_000, txBytes: 3_210_000 },
};

type Answer = Extract<DaemonView, { daemon: 'answers' }>;

function answer(status: Partial<Status>, rest: Partial<Answer> = {}): Snapshot {
  const whole: Status = { ...base, ...status };
  return {
    daemon: 'answers',
    status: whole,
    key: textKeyFor(whole),
    words: wordsFor(whole),
    mayChange: true,
    hasEdge: true,
    network: 'Café Guest',
    app,
    ...rest,
  };
}

function ill(...codes: readonly HealthCode[]): Pick<Status, 'health'> {
  return { health: codes.map((code) => healthItem(code)) };
}

/** Where nobody can be asked by a window. */
const typed: Partial<AppView> = {
  unsupported: ['allow-account'],
  allowCommand: 'sudo /opt/culvert/shared/launch/culvert account allow somebody',
};

export const scenes: Readonly<Record<string, Snapshot>> = {
  off: answer({}),
  paused: answer({ reason: 'paused', resumesAt: '2026-11-20T12:15:00Z' }),
  trusted: answer({ reason: 'trusted-network' }),
  locked: answer(ill('lockdown')),
  enrolling: answer({ state: 'enrolling' }),
  connecting: answer({ state: 'connecting' }),
  late: answer({ state: 'connecting', since: '2026-11-20T11:59:45Z' }),
  connected: answer({ ...up, state: 'connected' }),
  noticed: answer({ ...up, state: 'connected', ...ill('mtu-broken', 'lan-open') }),
  proxy: answer({
    ...up,
    state: 'connected',
    mode: 'proxy',
    proxy: { address: '127.0.0.1:40000', resolvers: [] },
  }),
  split: answer({ ...up, state: 'connected', mode: 'tunnel', ...ill('split-tunnel') }),
  names: answer({ ...up, state: 'dns', mode: 'doh' }, { hasEdge: false }),
  portal: answer({ state: 'portal' }, { signInUntil: '2026-11-20T12:04:32Z' }),
  'signing-in': answer({ state: 'portal' }, {
    signInUntil: '2026-11-20T12:04:32Z',
    app: { ...app, wentToSignIn: true },
  } as Partial<Answer>),
  waiting: answer({ state: 'waiting' }),
  'no-internet': answer({
    state: 'waiting',
    health: [{ code: 'no-network', severity: 'error', text: 'No network.', remedy: 'Join one.' }],
  }),
  'no-answer': answer({ state: 'connecting', ...ill('handshake-timeout') }),
  blocked: answer({ ...up, state: 'blocked' }),
  disconnecting: answer({ ...up, state: 'disconnecting' }),
  'read-only': answer({ ...up, state: 'connected' }, { mayChange: false }),
  'first-run': answer({}, { hasEdge: false }),
  invited: answer({}, {
    hasEdge: false,
    app: {
      ...app,
      invitation: { server: 'edge.example.com:443', link: 'culvert://edge.example.com:443/join?t=x' },
    },
  } as Partial<Answer>),
  'read-only-typed': answer({ ...up, state: 'connected' }, {
    mayChange: false,
    app: { ...app, ...typed },
  } as Partial<Answer>),
  'no-service': { daemon: 'absent', app },
  'no-permission': { daemon: 'no-permission', app },
  'no-permission-typed': { daemon: 'no-permission', app: { ...app, ...typed } },
  'update-needed': { daemon: 'other-version', app },
};

/** What calls give back, by name; others give back nothing. */
export const results: Readonly<Partial<Record<CommandName, unknown>>> = {
  modes: {
    mode: 'tunnel+doh',
    modes: [
      { mode: 'tunnel+doh', available: true },
      { mode: 'doh', available: true },
      { mode: 'proxy', available: true },
    ],
  },
  paths: {
    edge: 'home',
    chosen: 'auto',
    using: 'frankfurt',
    paths: [
      { id: 'stockholm', type: 'wireguard', state: 'up', rttMs: 71, lossPercent: 0 },
      { id: 'frankfurt', type: 'direct', state: 'up', rttMs: 14.2, lossPercent: 0, usual: true },
      { id: 'singapore', type: 'socks5', state: 'up', rttMs: 184, lossPercent: 2 },
      { id: 'office', type: 'http', state: 'down' },
    ],
  },
  settings: [
    { name: 'mode', value: 'tunnel+doh', default: 'tunnel+doh', text: 'what goes through the tunnel' },
    { name: 'autoConnect', value: true, default: true, text: 'connect again' },
    { name: 'lockdown', value: false, default: false, text: 'block everything' },
    { name: 'guardian', value: 'block', default: 'block', text: 'after a crash' },
    { name: 'dns.families', value: 'malware', default: 'off', text: 'what names are filtered' },
    { name: 'dns.upstreams', value: '', default: '', text: 'who is asked' },
    { name: 'dns.guardPort53', value: true, default: true, text: 'refuse other programs' },
    { name: 'proxy.port', value: 40_001, default: 40_000, text: 'port of the local proxy' },
    { name: 'proxy.password', value: '(set)', default: '', text: 'password' },
    { name: 'transport', value: 'auto', default: 'auto', text: 'what carries the tunnel' },
    { name: 'tunnel.mtu', value: 0, default: 0, text: 'largest packet inside the tunnel' },
    { name: 'log.level', value: 'info', default: 'info', text: 'debug, info, warn or error' },
  ],
  'set-setting': [{ name: 'autoConnect', value: false, default: true, text: 'connect again' }],
  trusted: { ssids: ['Zuhause', 'Büro 5 GHz'], wired: false, current: 'Café Guest' },
  trust: { ssids: ['Zuhause', 'Büro 5 GHz', 'Café Guest'], wired: false, current: 'Café Guest' },
  distrust: { ssids: ['Büro 5 GHz'], wired: false, current: 'Café Guest' },
  lan: { open: false, networks: [{ interface: 'wlan0', prefix: '192.168.1.0/24' }] },
  'set-lan': {
    open: true,
    until: '2026-11-20T12:15:00Z',
    networks: [{ interface: 'wlan0', prefix: '192.168.1.0/24' }],
  },
  split: {
    rules: [
      { mode: 'exclude', kind: 'host', target: '*.bank.example', addresses: [] },
      { mode: 'exclude', kind: 'ip', target: '203.0.113.0/24' },
      { mode: 'exclude', kind: 'program', target: 'firefox (1234)' },
    ],
    includeOnly: false,
    notes: [],
  },
  'add-split': { rules: [], includeOnly: false, notes: [] },
  'remove-split': { rules: [], includeOnly: false, notes: [] },
  'read-invitation': { server: 'edge.example.com:443', link: 'culvert://edge.example.com:443/join?t=x' },
  enroll: { edge: 'home' },
  'use-path': { edge: 'home', chosen: 'stockholm', using: 'stockholm', paths: [] },
  diagnostics: {
    text: 'culvert 0.1.0\nstate: connected since 12:00\nnetwork: (removed)\nresolver: answers in 12 ms\n',
  },
  'save-diagnostics': { saved: true },
  'send-feedback': { id: 'f-7' },
};
