import { userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { cacheFolder, dataFolder } from './user-folders.ts'

const own = userInfo().homedir

test.each([
  [{ XDG_CACHE_HOME: '/c', XDG_DATA_HOME: '/d', HOME: '/h' }, '/c/holdfast', '/d/holdfast'],
  [{ HOME: '/h' }, '/h/.cache/holdfast', '/h/.local/share/holdfast'],
  [{ XDG_CACHE_HOME: '', XDG_DATA_HOME: '', HOME: '/h' }, '/h/.cache/holdfast', '/h/.local/share/holdfast'],
  [{ XDG_CACHE_HOME: 'c', XDG_DATA_HOME: './d', HOME: '' }, `${own}/.cache/holdfast`, `${own}/.local/share/holdfast`],
])('the folders of a user with %j are absolute', (env, cache, data) => {
  expect([cacheFolder(env), dataFolder(env)]).toEqual([cache, data])
})
