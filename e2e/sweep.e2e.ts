import { describeTenth } from './testing/whole-sweep.ts'

describeTenth()
