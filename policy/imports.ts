import type { PlatformSettings } from '../crds/platform-settings.ts'

export type ImportSettings = PlatformSettings['spec']['imports']

/** What holds without PlatformSettings. */
export const defaultImports: ImportSettings = { allowedNetworks: [], maxImageSize: '64Gi' }
