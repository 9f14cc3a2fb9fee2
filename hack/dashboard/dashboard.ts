import { rows, type Panel, type Row } from './panels.ts'

const WIDTH = 24
const PER_ROW = 4
const HEIGHT = 8
/** Asked for on import, so that the dashboard goes with any Prometheus. */
const SOURCE = { type: 'prometheus', uid: '${DS_PROMETHEUS}' }

/** The dashboard as Grafana imports it (schema version 39: Grafana 10.4 and newer). */
export function dashboardFile(): [path: string, text: string] {
  const dashboard = {
    __inputs: [
      {
        name: 'DS_PROMETHEUS',
        label: 'Prometheus',
        type: 'datasource',
        pluginId: 'prometheus',
        pluginName: 'Prometheus',
      },
    ],
    uid: 'holdfast',
    title: 'Holdfast',
    description:
      'Virtual machines, hosts, and the controllers that keep them. Generated from hack/dashboard/panels.ts.',
    tags: ['holdfast'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [namespaceVariable] },
    panels: layOut(rows),
  }
  return ['config/monitoring/dashboard.json', `${JSON.stringify(dashboard, null, 2)}\n`]
}

const namespaceVariable = {
  name: 'namespace',
  label: 'Namespace',
  type: 'query',
  datasource: SOURCE,
  query: { query: 'label_values(holdfast_vm_info, namespace)', refId: 'namespaces' },
  refresh: 2,
  includeAll: true,
  multi: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
}

function layOut(all: readonly Row[]): object[] {
  const placed: object[] = []
  let y = 0
  for (const { title, panels } of all) {
    placed.push({
      id: placed.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    })
    y += 1
    for (const [index, panel] of panels.entries()) {
      const w = WIDTH / PER_ROW
      const gridPos = { x: (index % PER_ROW) * w, y: y + Math.floor(index / PER_ROW) * HEIGHT, w, h: HEIGHT }
      placed.push({ id: placed.length + 1, gridPos, ...toPanel(panel) })
    }
    y += Math.ceil(panels.length / PER_ROW) * HEIGHT
  }
  return placed
}

function toPanel({ title, unit, queries, stacked }: Panel): object {
  const custom = stacked ? { fillOpacity: 40, stacking: { mode: 'normal', group: 'A' } } : { fillOpacity: 5 }
  return {
    type: 'timeseries',
    title,
    datasource: SOURCE,
    fieldConfig: { defaults: { unit, min: 0, custom }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: SOURCE,
      expr,
      legendFormat,
    })),
  }
}
