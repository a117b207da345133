"""What no policy can exceed within a budget: the Lagrangian dual of a portfolio (Adelman and Mersereau 2008).

Customers are coupled by money alone. At any price μ ≥ 0 of money, the sum of what each is worth alone plus μ · budget
is at least what the best policy gains within the budget, be it kept in expectation or always. It is convex in μ with
the slope budget − spend(μ), so bisection finds the lowest; the best policy at that price is nearly within the budget.
"""

from typing import NamedTuple

from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel

TOGETHER = 1024
"""Customers solved at once: their tables stay in the processor's cache."""
STEPS = 16


class Dual(NamedTuple):
    """At one price of money: what customers gain over doing nothing, after that price, and spend."""

    price: float
    gain: float
    spend: float

    def bound(self, budget: float) -> float:
        """Money that no policy gains more than, over doing nothing, within `budget`."""
        return self.gain + self.price * budget


class LagrangianBound:
    """Customers who are in it as often as `copies` say (money adds up), solved alone at any price."""

    def __init__(
        self,
        customers: Customers,
        copies: int = 1,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        starts = range(0, len(customers.hazard), TOGETHER)
        self.problems = [DynamicProgram(customers[start : start + TOGETHER], response_model, rules) for start in starts]
        self.copies = copies
        self._known: dict[float, Dual] = {}

    def at(self, price: float) -> Dual:
        if price not in self._known:
            first = [list(problem.solve(price))[-1] for problem in self.problems]
            gain = self.copies * sum(float(stage.best[:, 0].sum()) for stage in first)
            spend = self.copies * sum(float(stage.spend[:, 0].sum()) for stage in first)
            self._known[price] = Dual(price, gain, spend)
        return self._known[price]

    def bound(self, budget: float) -> Dual:
        """The lowest dual, to 2^−16 of its price, at a price where the best policy spends no more than the budget."""
        low, high = 0.0, 1.0
        if self.at(low).spend <= budget:
            return self.at(low)
        while self.at(high).spend > budget:
            low, high = high, 2 * high
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.at(middle).spend > budget else (low, middle)
        return self.at(high)
