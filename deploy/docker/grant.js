/**
 * For the image's build: gives a program the capabilities that a node needs, as `setcap` of libcap would, which base
 * images do not have:  node grant.js FILE
 *
 * Permitted, but not effective: then it also starts in a container that was given less.
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

/** Numbers of linux/capability.h. */
const NET_BIND_SERVICE = 10;
const NET_ADMIN = 12;
const NET_RAW = 13;
const VFS_CAP_REVISION_2 = 0x0200_0000;

/** struct vfs_cap_data: revision and flags; then permitted and inheritable, 32 bits each, twice; little-endian. */
const data = Buffer.alloc(20);
data.writeUInt32LE(VFS_CAP_REVISION_2, 0);
data.writeUInt32LE(1 << NET_BIND_SERVICE | 1 << NET_ADMIN | 1 << NET_RAW, 4);

const setxattr = koffi.load(null).func('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
const [file] = process.argv.slice(2);
readFileSync(file);
if (setxattr(file, 'security.capability', data, data.length, 0) !== 0) {
  throw new Error(`${file}: its capabilities could not be set: errno ${koffi.errno()}`);
}
