/**
 * Who may use a file besides its owner and its group: POSIX access control lists, as the kernel keeps them in an extended
 * attribute (man 5 acl; linux/posix_acl_xattr.h). Little-endian, as everything that native.ts lets in.
 */

import { loadNative } from './native.ts';

const setxattr =
  'int lsetxattr(const char *path, const char *name, uint8_t *value, size_t length, int flags)';
const attribute = 'system.posix_acl_access';

const version = 2;
const headerBytes = 4;
const entryBytes = 8;
/** ACL_UNDEFINED_ID: the entry is about no named account. */
const nobody = 0xffff_ffff;
const tags = { owner: 0x01, user: 0x02, group: 0x04, mask: 0x10, other: 0x20 } as const;

/** Three bits as in a file mode: 6 is read and write. */
export interface AccessList {
  readonly owner: number;
  readonly group: number;
  readonly other: number;
  /** Every account of `users` gets this. */
  readonly named: number;
  /** Numbers of accounts. */
  readonly users: readonly number[];
}

/** The attribute's value. */
export function encodeAccessList({ owner, group, other, named, users }: AccessList): Uint8Array {
  // The kernel wants them sorted and each once.
  const sorted = [...new Set(users)].toSorted((one, next) => one - next);
  const entries: readonly (readonly [number, number, number])[] = [
    [tags.owner, owner, nobody],
    ...sorted.map((user) => [tags.user, named, user] as const),
    [tags.group, group, nobody],
    [tags.mask, group | named, nobody],
    [tags.other, other, nobody],
  ];
  const view = new DataView(new ArrayBuffer(headerBytes + entries.length * entryBytes));
  view.setUint32(0, version, true);
  for (const [index, [tag, permission, id]] of entries.entries()) {
    const at = headerBytes + index * entryBytes;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, permission, true);
    view.setUint32(at + 4, id, true);
  }
  return new Uint8Array(view.buffer);
}

/** Replaces the list of a file or socket. False where this system or its file system cannot. Never throws. */
export function setAccessList(path: string, list: AccessList): boolean {
  const loaded = loadNative();
  if (!loaded.ok) return false;
  const bytes = encodeAccessList(list);
  return loaded.native.self.func(setxattr)(path, attribute, bytes, bytes.length, 0) === 0;
}
