import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { cryptoSuiteContract } from './crypto-suite.ts';

cryptoSuiteContract('native-dh', () => nativeDhSuite);
