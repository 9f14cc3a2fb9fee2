/** One query, and what its lines are called. */
export type Query = readonly [expr: string, legend: string]

/** One picture on the dashboard. */
export interface Panel {
  readonly title: string
  /** Grafana's name, such as `s` or `bytes`. */
  readonly unit: string
  readonly queries: readonly Query[]
  readonly stacked?: true
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

const vm = 'namespace=~"$namespace"'
const vmName = '{{namespace}}/{{name}}'

/** What the dashboard shows. Each process of the controllers tells the same of the cluster, hence `max by`. */
export const rows: readonly Row[] = [
  {
    title: 'Platform',
    panels: [
      {
        title: 'Virtual machines by state',
        unit: 'short',
        stacked: true,
        queries: [['max by (status) (holdfast_virtual_machines) > 0', '{{status}}']],
      },
      {
        title: 'Hosts by state',
        unit: 'short',
        stacked: true,
        queries: [['max by (state) (holdfast_hosts)', '{{state}}']],
      },
      {
        title: 'Machines without a VirtualMachine',
        unit: 'short',
        queries: [['max by (host) (holdfast_host_orphans)', '{{host}}']],
      },
      {
        title: 'Leader',
        unit: 'short',
        queries: [['leader_election_master_status{name="holdfast-controllers"}', '{{instance}}']],
      },
    ],
  },
  {
    title: 'Deletion',
    panels: [
      {
        title: 'Entries of the recycle bin',
        unit: 'short',
        stacked: true,
        queries: [['max by (kind, phase) (holdfast_recycled_resources)', '{{kind}} {{phase}}']],
      },
      {
        title: 'Disks in the recycle bin',
        unit: 'bytes',
        stacked: true,
        queries: [['max by (kind) (holdfast_recycled_bytes)', '{{kind}}']],
      },
      {
        title: 'Brakes that hold',
        unit: 'short',
        queries: [['max by (kind) (holdfast_delete_brakes)', '{{kind}}']],
      },
    ],
  },
  {
    title: 'Controllers',
    panels: [
      {
        title: 'Reconciles',
        unit: 'ops',
        queries: [
          [
            'sum by (controller, result) (rate(controller_runtime_reconcile_total[$__rate_interval]))',
            '{{controller}} {{result}}',
          ],
        ],
      },
      {
        title: 'Reconcile time, 99th percentile',
        unit: 's',
        queries: [[percentile('controller_runtime_reconcile_time_seconds', 'controller'), '{{controller}}']],
      },
      { title: 'Keys that wait', unit: 'short', queries: [['sum by (name) (workqueue_depth)', '{{name}}']] },
      {
        title: 'Time in the queue, 99th percentile',
        unit: 's',
        queries: [[percentile('workqueue_queue_duration_seconds', 'name'), '{{name}}']],
      },
      {
        title: 'Writes to the API server',
        unit: 'wps',
        queries: [
          [
            'sum by (resource, subresource, verb) (rate(holdfast_api_writes_total[$__rate_interval]))',
            '{{verb}} {{resource}} {{subresource}}',
          ],
        ],
      },
      {
        title: 'Answers of the API server',
        unit: 'reqps',
        queries: [['sum by (code) (rate(rest_client_requests_total[$__rate_interval]))', '{{code}}']],
      },
      {
        title: "Calls of hosts' agents",
        unit: 'reqps',
        queries: [
          ['sum by (host, outcome) (rate(holdfast_agent_requests_total[$__rate_interval]))', '{{host}} {{outcome}}'],
        ],
      },
      {
        title: 'Memory of the processes',
        unit: 'bytes',
        queries: [['process_resident_memory_bytes{job=~"holdfast-.*"}', '{{job}} {{instance}}']],
      },
    ],
  },
  {
    title: 'Webhooks',
    panels: [
      {
        title: 'Answers',
        unit: 'reqps',
        queries: [
          [
            'sum by (webhook, operation) (rate(holdfast_admission_requests_total[$__rate_interval]))',
            '{{webhook}} {{operation}}',
          ],
        ],
      },
      {
        title: 'Refusals',
        unit: 'reqps',
        queries: [
          [
            'sum by (kind, answer) (rate(holdfast_admission_requests_total{answer!="Allowed"}[$__rate_interval]))',
            '{{kind}} {{answer}}',
          ],
        ],
      },
      {
        title: 'Time to an answer, 99th percentile',
        unit: 's',
        queries: [[percentile('holdfast_admission_duration_seconds', 'operation'), '{{operation}}']],
      },
    ],
  },
  {
    title: 'Hosts',
    panels: [
      {
        title: 'CPU in use',
        unit: 'percentunit',
        queries: [
          [
            '1 - sum by (host) (rate(holdfast_host_cpu_seconds_total{mode=~"idle|iowait"}[$__rate_interval])) / sum by (host) (rate(holdfast_host_cpu_seconds_total[$__rate_interval]))',
            '{{host}}',
          ],
        ],
      },
      {
        title: 'Memory in use',
        unit: 'percentunit',
        queries: [['1 - holdfast_host_memory_available_bytes / holdfast_host_memory_capacity_bytes', '{{host}}']],
      },
      {
        title: 'Storage in use',
        unit: 'percentunit',
        queries: [['1 - holdfast_storage_available_bytes / holdfast_storage_capacity_bytes', '{{host}} {{storage}}']],
      },
      {
        title: 'Received from the network',
        unit: 'Bps',
        queries: [['rate(holdfast_host_network_receive_bytes_total[$__rate_interval])', '{{host}} {{interface}}']],
      },
      {
        title: 'Sent to the network',
        unit: 'Bps',
        queries: [['rate(holdfast_host_network_transmit_bytes_total[$__rate_interval])', '{{host}} {{interface}}']],
      },
      {
        title: 'Memory given to machines',
        unit: 'bytes',
        queries: [
          ['sum by (host) (holdfast_vm_memory_configured_bytes and holdfast_vm_memory_resident_bytes)', '{{host}}'],
        ],
      },
    ],
  },
  {
    title: 'Virtual machines',
    panels: [
      {
        title: 'CPUs in use',
        unit: 'short',
        queries: [[`rate(holdfast_vm_cpu_usage_seconds_total{${vm}}[$__rate_interval])`, vmName]],
      },
      {
        title: 'Memory of the host in use',
        unit: 'bytes',
        queries: [[`holdfast_vm_memory_resident_bytes{${vm}}`, vmName]],
      },
      {
        title: 'Read from disks',
        unit: 'Bps',
        queries: [[sumOfDisks('holdfast_vm_storage_read_traffic_bytes_total'), vmName]],
      },
      {
        title: 'Written to disks',
        unit: 'Bps',
        queries: [[sumOfDisks('holdfast_vm_storage_write_traffic_bytes_total'), vmName]],
      },
    ],
  },
]

function percentile(histogram: string, label: string): string {
  return `histogram_quantile(0.99, sum by (le, ${label}) (rate(${histogram}_bucket[$__rate_interval])))`
}

function sumOfDisks(counter: string): string {
  return `sum by (namespace, name) (rate(${counter}{${vm}}[$__rate_interval]))`
}
