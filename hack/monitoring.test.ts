import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import type { Description } from '../lib/metrics/metrics.ts'
import { ownMetrics } from './docs/metrics.ts'

const FOLDER = join(import.meta.dirname, '..', 'config', 'monitoring')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

const rules = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string() })) })),
})
const ruleTests = z.object({
  tests: z.array(
    z.object({
      alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()).default([]) })),
    }),
  ),
})
const dashboard = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) })),
  templating: z.object({ list: z.array(z.object({ query: z.object({ query: z.string() }) })) }),
})

const own = Object.values(ownMetrics()).flatMap((metrics) => metrics.describe())
const known = new Map(own.map((metric) => [metric.name, metric]))

const alerts = rules.parse(load(read('rules.yaml'))).groups.flatMap((group) => group.rules)
const trials = ruleTests.parse(load(read('rules-test.yaml'))).tests.flatMap((one) => one.alert_rule_test)
const { panels, templating } = dashboard.parse(JSON.parse(read('dashboard.json')))
const expressions = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ...templating.list.map(({ query }) => ['a variable', query.query] as const),
]

/** Of an expression without its texts: what it takes for a metric, with the labels that it chooses by. */
function metricsIn(expr: string): { name: string; labels: string[] }[] {
  const selectors = expr.matchAll(/\b([a-z]+(?:_[a-z0-9]+)+)\b(?!\s*\()(?:\{([^}]*)\})?/g)
  return [...selectors]
    .filter(
      ([, name = '']) =>
        known.has(familyOf(name)) || /^(holdfast|workqueue|controller|rest|reflector|leader)_/.test(name),
    )
    .map(([, name = '', matchers = '']) => ({
      name,
      labels: [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
    }))
}

/** The metric that a series belongs to. */
function familyOf(series: string): string {
  const family = series.replace(/_(bucket|sum|count)$/, '')
  return known.get(family)?.type === 'histogram' ? family : series
}

const ofEveryTarget = ['job', 'instance']

function labelsOf({ labels }: Pick<Description, 'labels'>): string[] {
  return [...ofEveryTarget, ...labels]
}

describe('Monitoring in config/', () => {
  test('has alerts and pictures to look at', () => {
    expect(alerts.length).toBeGreaterThan(10)
    expect(panels.flatMap(({ targets }) => targets).length).toBeGreaterThan(10)
  })

  test.each(alerts)('$alert is seen to fire, and not to fire', ({ alert }) => {
    const tried = trials.filter(({ alertname }) => alertname === alert)
    expect(tried.map(({ exp_alerts: fired }) => fired.length > 0)).toEqual(expect.arrayContaining([true, false]))
  })

  test.each(expressions)('%s asks for metrics and labels that there are', (_of, expr) => {
    const found = metricsIn(expr)
    expect(found.length + Number(/\bup\{/.test(expr))).toBeGreaterThan(0)
    for (const { name, labels } of found) {
      const metric = known.get(familyOf(name))
      expect(metric).toMatchObject({ name: familyOf(name) })
      expect(labelsOf(metric ?? { labels: [] })).toEqual(expect.arrayContaining(labels))
    }
  })

  test('would notice a metric or a label that there is not', () => {
    expect(metricsIn('rate(holdfast_vm_cpu_total{host=~"a", nome="b"}[5m]) / workqueue_adds_total')).toEqual([
      { name: 'holdfast_vm_cpu_total', labels: ['host', 'nome'] },
      { name: 'workqueue_adds_total', labels: [] },
    ])
    expect(known.has('holdfast_vm_cpu_total')).toBe(false)
  })

  test('groups by labels that some metric of the expression has', () => {
    for (const [of, expr] of expressions) {
      const names = metricsIn(expr).map(({ name }) => known.get(familyOf(name)))
      const labels = new Set([...names.flatMap((metric) => (metric ? labelsOf(metric) : [])), 'le'])
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
      expect({ of, unknown: grouped.filter((label) => !labels.has(label)) }).toEqual({ of, unknown: [] })
    }
  })
})
