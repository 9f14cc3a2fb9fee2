import { describeTenth } from './testing/whole-sweep.ts'

describeTenth(2)
