/**
 * Every field the store has, why, and for how long: what `culvert-edge privacy` prints. A test holds this
 * table against the real schema, so that no field can be added in silence.
 */

export interface StoredField {
  readonly table: string;
  readonly column: string;
  readonly why: string;
  readonly kept: string;
}

const device = 'as long as the device';
const day = 'until a day after its end';
const quarter = '90 days, 100000 lines at most';
const changes = 'the last 100000 changes';
const season = '90 days, 1000 of them at most, or until you remove it';
const always = 'as long as the edge';

const rows: readonly (readonly [table: string, column: string, why: string, kept: string])[] = [
  ['device', 'id', 'names the device in every other place', device],
  ['device', 'name', 'what people call it', device],
  ['device', 'platform', 'tells devices apart in the list; the device said it', device],
  ['device', 'kind', 'enrolled, or added by the operator', device],
  ['device', 'enabled', 'whether it may connect', device],
  ['device', 'created_at', 'when it was enrolled', device],
  ['device', 'expires_at', 'when its time is over', device],
  ['device', 'path', 'the way out it is pinned to', device],
  ['device', 'granted', 'the ways out it may choose', device],
  ['device', 'tags', 'words of the operator that rules speak of', device],
  ['device', 'families', 'the filter of names that it chose', device],
  ['device', 'quota_bytes', 'how much it may move', device],
  ['device', 'rate_bps', 'how fast it may be', device],
  ['device', 'bearer_hash', 'knows its secret again; SHA-256, the secret itself is not kept', device],
  ['device_key', 'public_key', 'its WireGuard key, public half', device],
  ['device_key', 'device_id', 'whose key it is', device],
  ['device_key', 'former_until', 'how long a replaced key still works', 'a minute'],
  ['address', 'address', 'its address inside the tunnel', 'a day longer than the device'],
  ['address', 'device_id', 'who has the address', device],
  ['address', 'position', 'IPv4 before IPv6', 'a day longer than the device'],
  ['address', 'free_at', 'when the address may be given to another', 'a day longer than the device'],
  ['usage', 'device_id', 'whose numbers these are', device],
  ['usage', 'boot', 'which run of the edge counted last', device],
  ['usage', 'boot_rx', 'bytes from the device in that run, for its quota', device],
  ['usage', 'boot_tx', 'bytes to the device in that run, for its quota', device],
  ['usage', 'past_rx', 'bytes from the device before that run', device],
  ['usage', 'past_tx', 'bytes to the device before that run', device],
  ['usage', 'last_seen_at', 'when the device was last heard; not from where', device],
  ['invite', 'id', 'names the invitation', day],
  ['invite', 'token_hash', 'knows the invitation again; SHA-256', day],
  ['invite', 'name', 'how the device will be called', day],
  ['invite', 'path', 'the way out the device will be pinned to', day],
  ['invite', 'created_at', 'when it was made', day],
  ['invite', 'expires_at', 'when it ends', day],
  ['invite', 'uses', 'for how many devices it was made', day],
  ['invite', 'uses_left', 'for how many it still works', day],
  ['invite_use', 'invite_id', 'which invitation was used', day],
  ['invite_use', 'public_key', 'by which key, so that a lost answer can be asked for again', day],
  ['invite_use', 'device_id', 'the device it became', day],
  ['admin_key', 'id', 'names the key', 'as long as the key'],
  ['admin_key', 'name', 'what people call it', 'as long as the key'],
  ['admin_key', 'role', 'what it may do', 'as long as the key'],
  ['admin_key', 'key_hash', 'knows the key again; SHA-256', 'as long as the key'],
  ['admin_key', 'created_at', 'when it was made', 'as long as the key'],
  ['admin_key', 'expires_at', 'when it ends', 'as long as the key'],
  ['audit', 'seq', 'the order of events', quarter],
  ['audit', 'id', 'so that an event is written once', quarter],
  ['audit', 'at', 'when', quarter],
  ['audit', 'actor', 'which device, admin key or operator; no address', quarter],
  ['audit', 'action', 'what', quarter],
  ['audit', 'subject', 'to which device, invitation or key', quarter],
  ['audit', 'detail', 'which settings; names, never secrets or addresses', quarter],
  ['feedback', 'seq', 'the order in which it came', season],
  ['feedback', 'id', 'so that it can be shown and removed', season],
  ['feedback', 'device_id', 'which device sent it', season],
  ['feedback', 'device_name', 'what that device was called then', season],
  ['feedback', 'at', 'when', season],
  ['feedback', 'words', 'what a person wrote to you', season],
  ['feedback', 'diagnostics', 'what the person saw and agreed to send with it', season],
  ['revision', 'one', 'makes it one row', always],
  ['revision', 'revision', 'counts changes of devices', always],
  ['revision', 'oldest', 'how far back the list of changes goes', always],
  ['change', 'revision', 'which change', changes],
  ['change', 'device_id', 'to which device, so that a running tunnel follows', changes],
  ['migration', 'version', 'which form the store has', always],
  ['migration', 'checksum', 'that it is the form we know', always],
];

export const storedFields: readonly StoredField[] = rows.map(([table, column, why, kept]) => ({
  table,
  column,
  why,
  kept,
}));
