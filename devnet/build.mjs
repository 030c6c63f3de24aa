// Compiles the installed protocol and our own contracts into one JSON file: node build.mjs <output file> [flavour].
import { createRequire } from "node:module";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const require = createRequire(import.meta.url);

const AAVE = "@aave-dao/aave-v3-origin/src/contracts/";
const PROTOCOL = [
  "protocol/libraries/helpers/Errors",
  "protocol/libraries/logic/BorrowLogic",
  "protocol/libraries/logic/ConfiguratorLogic",
  "protocol/libraries/logic/FlashLoanLogic",
  "protocol/libraries/logic/LiquidationLogic",
  "protocol/libraries/logic/PoolLogic",
  "protocol/libraries/logic/SupplyLogic",
  "protocol/configuration/ACLManager",
  "protocol/configuration/PoolAddressesProvider",
  "misc/aave-upgradeability/InitializableImmutableAdminUpgradeabilityProxy",
  "misc/AaveOracle",
  "misc/DefaultReserveInterestRateStrategyV2",
  "helpers/AaveProtocolDataProvider",
  "instances/ATokenInstance",
  "instances/L2PoolInstance",
  "instances/PoolConfiguratorInstance",
  "instances/VariableDebtTokenInstance",
].map((name) => `${AAVE}${name}.sol`);

const REMAPPINGS = [
  "openzeppelin-contracts/=@openzeppelin/",
  "openzeppelin-contracts-upgradeable/contracts/=@openzeppelin/contracts-upgradeable/",
  "solidity-utils/=@bgd-labs/solidity-utils/src/",
];

const SHIPPED = {
  UniswapV3Factory: "@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json",
  UniswapV3Pool: "@uniswap/v3-core/artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json",
  SwapRouter02: "@uniswap/swap-router-contracts/artifacts/contracts/SwapRouter02.sol/SwapRouter02.json",
  QuoterV2: "@uniswap/swap-router-contracts/artifacts/contracts/lens/QuoterV2.sol/QuoterV2.json",
};

const patched = new Map();

async function patch(flavour) {
  const { default: replacements } = await import(pathToFileURL(join(here, "flavours", `${flavour}.mjs`)));
  for (const { file, find, put, times = 1 } of replacements) {
    const path = `${AAVE}${file}`;
    const parts = (patched.get(path) ?? readFileSync(join(modules, path), "utf8")).split(find);
    if (parts.length !== times + 1) {
      throw new Error(`flavour ${flavour}: ${file} has ${parts.length - 1} times, not ${times}: ${find}`);
    }
    patched.set(path, parts.join(put));
  }
}

function read(path) {
  if (patched.has(path)) return { contents: patched.get(path) };
  try {
    return { contents: readFileSync(join(modules, path), "utf8") };
  } catch (error) {
    return { error: error.message };
  }
}

function compile(compiler, sources, settings) {
  const input = {
    language: "Solidity",
    sources,
    settings: {
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"] } },
      ...settings,
    },
  };
  const output = JSON.parse(compiler.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors ?? []).filter((one) => one.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((one) => one.formattedMessage).join("\n"));
  return output.contracts;
}

function collect(artifacts, contracts, wanted) {
  for (const [file, inside] of Object.entries(contracts)) {
    if (!wanted(file)) continue;
    for (const [name, { abi, evm }] of Object.entries(inside)) {
      artifacts[name] = { abi, bytecode: evm.bytecode.object, links: flatten(evm.bytecode.linkReferences) };
    }
  }
}

function flatten(references) {
  const links = {};
  for (const inside of Object.values(references ?? {})) {
    for (const [library, places] of Object.entries(inside)) links[library] = places.map((place) => place.start);
  }
  return links;
}

function ours() {
  const folder = join(here, "contracts");
  const sources = {};
  for (const name of readdirSync(folder).filter((one) => one.endsWith(".sol")).sort()) {
    sources[`devnet/${name}`] = { content: readFileSync(join(folder, name), "utf8") };
  }
  return sources;
}

const [, , target, flavour] = process.argv;
if (flavour) await patch(flavour);
const artifacts = {};
const sources = ours();
for (const path of PROTOCOL) sources[path] = { content: read(path).contents };
const modern = compile(require("solc"), sources, {
  remappings: REMAPPINGS,
  evmVersion: "shanghai",
  metadata: { bytecodeHash: "none" },
});
collect(artifacts, modern, (file) => file in sources);

const proxy = "@chainlink/contracts/src/v0.6/EACAggregatorProxy.sol";
const old = compile(require("solc-0.6"), { [proxy]: { content: read(proxy).contents } }, {});
collect(artifacts, old, (file) => file === proxy);

for (const [name, path] of Object.entries(SHIPPED)) {
  const { abi, bytecode, linkReferences } = JSON.parse(read(path).contents);
  artifacts[name] = { abi, bytecode: bytecode.slice(2), links: flatten(linkReferences) };
}

mkdirSync(dirname(target), { recursive: true });
writeFileSync(`${target}.part`, JSON.stringify(artifacts));
renameSync(`${target}.part`, target);
