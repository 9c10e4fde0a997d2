/** Every dashboard, by its file in `deploy/grafana/dashboards`. */
import { clients } from './clients.ts';
import { cluster } from './cluster.ts';
import { format } from './dashboard.ts';
import { overview } from './overview.ts';
import { pools } from './pools.ts';
import { store } from './store.ts';

export function dashboardFiles(): ReadonlyMap<string, string> {
  const all = { 'overview': overview(), 'pools': pools(), 'cluster': cluster(), 'clients-and-errors': clients(), 'store-and-process': store() };
  return new Map(Object.entries(all).map(([name, dashboard]) => [`deploy/grafana/dashboards/${name}.json`, format(dashboard)]));
}
