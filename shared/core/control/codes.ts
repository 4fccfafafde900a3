/**
 * CulvertError and the table of stable error codes. A code is a promise: adding is free, renaming
 * breaks other people's programs. Every error a person can meet has a sentence and a remedy.
 */

/** code → [what happened, what to do]. Used where the thrower has no better words. */
export const errorCodes = {
  'not-root': ['This needs root or CAP_NET_ADMIN.', 'Run it with sudo.'],
  'no-tun': ['/dev/net/tun is missing.', 'Load the tun module: modprobe tun'],
  'no-kernel-wireguard': [
    'This kernel has no WireGuard.',
    'Load it: modprobe wireguard; or use the userspace tunnel.',
  ],
  'interface-exists': [
    'An interface of that name exists already.',
    'Choose another name, or remove it: ip link del NAME',
  ],
  'bad-interface-name': [
    'That is no valid interface name.',
    'Use 1 to 15 letters, digits, dots, dashes or underscores.',
  ],
  'port-in-use': ['The UDP port is in use by another program.', 'Choose another port, or stop that program.'],
  'udp-unavailable': ['The UDP sockets cannot be opened.', 'See the text above.'],
  'bad-config': ['The configuration has errors.', 'Correct the lines named above.'],
  'bad-usage': ['The command line is wrong.', 'See --help.'],
  'file-unreadable': ['A file cannot be read.', 'Check its path and permissions.'],
  'tool-missing': ['A program that is needed is missing.', 'Install it.'],
  'command-failed': ['A system command failed.', 'See the text above.'],
  'ffi-unavailable': [
    'The native library that reaches the network device cannot be loaded here.',
    'Use a mode that needs no TUN device.',
  ],
  'daemon-not-running': ['The culvert daemon is not running.', 'Start it: culvert daemon'],
  'daemon-running': ['A culvert daemon runs already on this socket.', 'Use it, or end it first.'],
  'no-edge': ['No edge is known yet.', 'Join one: culvert enroll LINK; or: culvert import FILE.conf'],
  'unknown-edge': ['There is no edge of that name.', 'See: culvert edge list'],
  'unsupported-mode': ['That mode is not available yet.', 'See: culvert mode'],
  timeout: ['It took too long.', 'Try again; see culvert status.'],
  'handshake-timeout': ['The edge does not answer.', 'Check its address, its UDP port and the keys.'],
  'journal-unreadable': ['The journal of host changes cannot be read.', 'Run: culvert restore'],
  'no-permission': [
    'Your account may not talk to this culvert daemon.',
    'Run it as the user who started the daemon, or join the group culvert.',
  ],
  'bad-request': [
    'The request makes no sense to the daemon.',
    'Use a client of the same version as the daemon.',
  ],
  'bad-edge-name': [
    'That is no valid name for an edge.',
    'Use 1 to 32 letters, digits, dots, dashes or underscores; auto is taken.',
  ],
  'too-many-edges': ['There are too many edges.', 'Remove one: culvert edge remove NAME'],
  'edge-in-use': ['That edge is in use now.', 'First: culvert disconnect'],
  'unknown-setting': ['There is no setting of that name.', 'See: culvert settings list'],
  'bad-setting': ['That value does not fit the setting.', 'See: culvert settings list'],
  'settings-unreadable': [
    'The file of settings cannot be read.',
    'Correct it, or remove it to start with defaults.',
  ],
  'unknown-mode': ['There is no mode of that name.', 'See: culvert mode --help'],
  'socket-path-too-long': [
    'The path of the control socket is too long for the system.',
    'Give a shorter one: --socket PATH',
  ],
  'endpoint-unresolved': [
    'The name of the edge cannot be looked up.',
    'Check the network, or use a numeric address in the file.',
  ],
  'no-reply': [
    'The edge answered the handshake, but nothing came back through the tunnel.',
    'Check AllowedIPs and forwarding at the edge.',
  ],
  'tunnel-ended': ['The tunnel ended by itself.', 'culvert starts it again; see: culvert logs'],
  'restore-incomplete': ['Some changes to this machine could not be undone.', 'Try: culvert restore'],
  'no-network': ['This machine has no network.', 'Join one; culvert goes on by itself.'],
  'fault-found': ['Something is wrong on the way to the edge.', 'See the lines above.'],
  'no-portal': [
    'This network wants no sign-in, as far as culvert can tell.',
    'If its page does not come up by itself, turn protection off for a moment: culvert pause 5m',
  ],
  'left-closed': [
    'An earlier culvert left this machine closed to protect it.',
    'Connect again, or open it: culvert disconnect',
  ],
  'too-many-rules': ['The list of the split tunnel is full.', 'Remove a rule: culvert tunnel list'],
  'unknown-rule': ['The list of the split tunnel has no such rule.', 'See: culvert tunnel list'],
  'bad-rule': ['That is no address and no name.', 'See: culvert tunnel --help'],
  'no-program-groups': [
    'This kernel cannot tell programs apart for the firewall.',
    'It needs cgroup v2 and nf_tables with socket matching; send names or addresses around the tunnel instead.',
  ],
  'unknown-host': ['That name has no address.', 'Check how it is written, and the network.'],
  'unknown-program': ['There is no such process.', 'See its number: pgrep -a NAME'],
  'no-systemd': [
    'This system is not run by systemd.',
    'Start the daemon by its own means: culvert daemon --foreground',
  ],
  'unknown-account': ['There is no such account on this machine.', 'See their names: getent passwd'],
  'not-your-account': [
    'Only your own account can be allowed this way.',
    'Ask whoever runs this machine: sudo culvert account allow USER',
  ],
  'not-allowed': [
    'Nobody gave the permission.',
    'Try again with the password of an administrator, or ask whoever runs this machine.',
  ],
  'not-confirmed': ['Nothing was written: you did not agree.', 'Say yes, or give --yes.'],
  'file-unwritable': ['A file cannot be written.', 'Check its path and permissions.'],
  'owned-by-edge': [
    'That belongs to the configuration of the edge.',
    'Change edge.yaml, then send the edge SIGHUP.',
  ],
  'unknown-name': ['There is no such name in that list.', 'See: culvert dns fallback list'],
  'dns-off': ['Private DNS is off.', 'Turn it on: culvert mode doh && culvert connect'],
  'dns-file-closed': [
    'The file that names the DNS servers of this system cannot be written.',
    'Allow it, or leave it alone and set your programs yourself: culvert settings set dns.system off',
  ],
  'edge-running': [
    'A culvert-edge runs already with this data directory.',
    'Use it, end it first, or name another directory with --data.',
  ],
  'edge-exists': [
    'There is an edge in this data directory already.',
    'Run it: culvert-edge run; or name another directory with --data.',
  ],
  'no-edge-here': [
    'There is no edge in this data directory.',
    'Make one: culvert-edge init; or name its directory with --data.',
  ],
  'edge-not-running': ['No culvert-edge answers here.', 'Start it: culvert-edge run'],
  'store-busy': ['The store is busy with another program.', 'Try again.'],
  'store-full': ['The disk is full: the store cannot be written.', 'Make room; nothing was changed.'],
  'store-damaged': ['The store is damaged.', 'Restore a backup: culvert-edge restore FILE'],
  'store-unreadable': ['The store cannot be opened.', 'Check its path, its owner and the disk.'],
  'store-newer': [
    'The store was made by a newer culvert-edge.',
    'Use that version, or restore an older backup.',
  ],
  'unknown-path': ['The edge has no path of that id.', 'See: culvert-edge path list'],
  'unknown-device': ['There is no device of that name.', 'See: culvert-edge device list'],
  'unknown-invite': ['There is no invitation of that id.', 'See: culvert-edge invite list'],
  'unknown-admin-key': ['There is no admin key of that id.', 'See: culvert-edge admin key list'],
  'name-taken': ['That name is taken.', 'Choose another.'],
  'key-taken': ['Another device has that key.', 'Make a new key pair.'],
  'no-address-left': [
    'The network of the edge has no address left for another device.',
    'Remove devices, or widen network in edge.yaml.',
  ],
  'bad-certificate': [
    'The certificate of the edge cannot be used.',
    'Correct it, or remove it to have a new one.',
  ],
  'acme-failed': [
    'The certificate authority gave no certificate.',
    'Check that the name leads to this machine and that port 443 or 80 of it can be reached.',
  ],
  'unknown-feedback': ['There is no such feedback.', 'See: culvert-edge feedback list'],
  'invite-expired': ['The invitation has expired.', 'Ask for a new one: culvert-edge invite'],
  'bad-invite': ['That is no invitation.', 'Ask for a new one: culvert-edge invite'],
  'edge-unreachable': [
    'The API of the edge does not answer.',
    'Check the network and the address of the edge.',
  ],
  'edge-impostor': [
    'Whoever answers there is not the edge of the invitation.',
    'Try from another network; if it stays so, ask for a new invitation.',
  ],
  'edge-refused': ['The edge refused.', 'See the text above.'],
  'not-registered': ['This machine is not enrolled with that edge.', 'Enrol it: culvert enroll LINK'],
  'no-path-choice': [
    'That edge gives this machine no choice of paths: it was imported, and only an edge of culvert has one.',
    'Join one: culvert enroll LINK',
  ],
  'not-connected': ['The tunnel is not up.', 'Connect first: culvert connect --wait'],
  'not-proxy-mode': [
    'That needs the mode proxy, or one that protects the whole device.',
    'Choose it: culvert mode proxy',
  ],
  'exec-not-isolated': [
    'This system does not give a program a network of its own.',
    'Leave out --strict to use proxy variables, or use a mode that protects the whole device.',
  ],
  'exec-failed': [
    'The network for the program cannot be made.',
    'Run the program by its own proxy settings, see: culvert proxy status',
  ],
  'desktop-unchanged': [
    "The desktop's proxy could not be set.",
    'Set it by hand to the address that culvert proxy status shows.',
  ],
  'command-not-found': ['There is no such program.', 'Check its name and PATH.'],
  'command-not-executable': ['That program may not be executed.', 'Check its permissions: chmod +x FILE'],
  'kernel-disguise': [
    'The WireGuard of the kernel cannot disguise its packets as this edge wants.',
    'Let culvert do it: culvert settings set tunnel.backend auto',
  ],
  'no-tls-way': [
    'The tunnel to that edge cannot be carried inside TLS: only an edge of culvert that this machine enrolled with can.',
    'Use UDP: culvert settings set transport auto',
  ],
  'unsupported-platform': ['This system cannot do that yet.', 'Use Linux.'],
  internal: ['culvert met a bug.', 'Please report it with the text above.'],
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface CulvertErrorOptions {
  /** One sentence of what happened; default: the code's. */
  readonly text?: string;
  /** One sentence of what to do; default: the code's. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** The system's error number, positive, where there was one. */
  readonly errno?: number;
}

/** An error for people: a stable code, one sentence of what happened, one of what to do. */
export class CulvertError extends Error {
  override readonly name = 'CulvertError';
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly errno: number | undefined;

  constructor(code: ErrorCode, options: CulvertErrorOptions = {}) {
    super(options.text ?? errorCodes[code][0], options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? errorCodes[code][1];
    this.errno = options.errno;
  }
}
