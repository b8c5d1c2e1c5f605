// Reads a JSON list of simulations from standard input and prints the list of their decisions.
const { anonymousPrincipal, runSimulation } = require("@cloud-copilot/iam-simulate");

async function decide(simulation) {
  if (simulation.request.principal === null) simulation.request.principal = anonymousPrincipal;
  const answer = await runSimulation(simulation, {});
  if (answer.resultType === "error") throw new Error(JSON.stringify(answer.errors));
  return answer.overallResult;
}

let text = "";
process.stdin.on("data", (part) => (text += part));
process.stdin.on("end", async () => {
  const decisions = [];
  for (const simulation of JSON.parse(text)) decisions.push(await decide(simulation));
  console.log(JSON.stringify(decisions));
});
