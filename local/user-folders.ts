import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** A folder that a variable names. One that is empty or relative counts as not set, as the XDG specification has it. */
export function namedFolder(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined
}

/** Where the user's data goes. */
export function dataFolder({ XDG_DATA_HOME, HOME }: NodeJS.ProcessEnv): string {
  return join(namedFolder(XDG_DATA_HOME) ?? join(ownFolder(HOME), '.local', 'share'), 'holdfast')
}

/** Where Holdfast keeps what can be made again. */
export function cacheFolder({ XDG_CACHE_HOME, HOME }: NodeJS.ProcessEnv): string {
  return join(namedFolder(XDG_CACHE_HOME) ?? join(ownFolder(HOME), '.cache'), 'holdfast')
}

function ownFolder(home: string | undefined): string {
  return namedFolder(home) ?? userInfo().homedir
}
