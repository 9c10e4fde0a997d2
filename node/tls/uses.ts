/** Where a node shows a certificate: for each place its files, as node.yaml names them. */
import type { NodeConfig, ServerTlsFiles } from '../config/types.ts';

export type TlsUse = 'cluster' | 'etcd' | 'http' | 'leasequery';

export interface TlsPlace {
  readonly use: TlsUse;
  /** The key in node.yaml. */
  readonly setting: string;
  readonly files: ServerTlsFiles;
  /** Whom the certificate must name; undefined: the other side does not ask. */
  readonly name: string | undefined;
}

/** etcd is a place of its own only where it has files of its own. */
export function tlsPlaces({ cluster, http, leaseQuery, node }: NodeConfig): TlsPlace[] {
  const places: (Omit<TlsPlace, 'files'> & { readonly files: ServerTlsFiles | undefined })[] = [
    { use: 'cluster', setting: 'cluster.tls', files: cluster?.tls, name: node },
    { use: 'etcd', setting: 'cluster.etcdTls', files: cluster?.etcdTls, name: undefined },
    { use: 'http', setting: 'http.tls', files: http.tls, name: undefined },
    { use: 'leasequery', setting: 'leasequery.tls', files: leaseQuery.tls, name: undefined },
  ];
  return places.flatMap((place) => (place.files === undefined ? [] : [{ ...place, files: place.files }]));
}
