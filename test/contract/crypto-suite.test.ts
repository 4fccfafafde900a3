// The suites of shared/core; faster ones run the same contract beside their own tests.
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import { cryptoSuiteContract } from './crypto-suite.ts';

cryptoSuiteContract('portable', () => portableSuite);
