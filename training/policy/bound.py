"""Upper bound on the value of any policy within a budget: the Lagrangian dual (Adelman and Mersereau 2008).

Only the budget couples the customers. At any shadow price μ ≥ 0 of the budget, the sum of the customers' values, each
solved alone, plus μ · budget is at least the value of the best policy within the budget, whether the budget must hold
in expectation or always. The dual is convex in μ with the slope budget − spend(μ), so bisection minimises it; the
policy that is optimal at the minimum spends almost the whole budget.
"""

from typing import NamedTuple

from services.policy.response.dynamic_program import RULES, DynamicProgram, Rules
from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel

CHUNK_SIZE = 1024
"""Customers solved together: few enough for their tables to stay in the processor's cache."""
BISECTION_STEPS = 16
"""Each halves the interval of prices."""


class Dual(NamedTuple):
    """The relaxed problem at one shadow price of the budget. Amounts are money, summed over all customers."""

    price: float
    net_value: float
    """Expected incremental value of the policy that is optimal at this price, less price · spend."""
    spend: float
    """Expected spend of that policy."""

    def upper_bound(self, budget: float) -> float:
        """The incremental value over contacting nobody that no policy within `budget` exceeds."""
        return self.net_value + self.price * budget


class LagrangianBound:
    """The dual at any price, for `copies` of each customer; results are cached by price."""

    def __init__(
        self,
        customers: Customers,
        copies: int = 1,
        response_model: ResponseModel = RESPONSE_MODEL,
        rules: Rules = RULES,
    ) -> None:
        starts = range(0, len(customers.hazard), CHUNK_SIZE)
        chunks = [customers[start : start + CHUNK_SIZE] for start in starts]
        self.programs = [DynamicProgram(chunk, response_model, rules) for chunk in chunks]
        self.copies = copies
        self._duals: dict[float, Dual] = {}

    @property
    def unconstrained_spend(self) -> float:
        """Expected spend of the policy that is optimal without a budget."""
        return self.at_price(0.0).spend

    def at_price(self, price: float) -> Dual:
        """The dual at this shadow price."""
        if price not in self._duals:
            first_days = [list(program.solve(price))[-1] for program in self.programs]
            net_value = self.copies * sum(float(day.best[:, 0].sum()) for day in first_days)
            spend = self.copies * sum(float(day.spend[:, 0].sum()) for day in first_days)
            self._duals[price] = Dual(price, net_value, spend)
        return self._duals[price]

    def at_budget(self, budget: float) -> Dual:
        """The dual at the lowest price whose policy spends at most `budget`, by bisection in BISECTION_STEPS steps."""
        low, high = 0.0, 1.0
        if self.at_price(low).spend <= budget:
            return self.at_price(low)
        while self.at_price(high).spend > budget:
            low, high = high, 2 * high
        for _ in range(BISECTION_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.at_price(middle).spend > budget else (low, middle)
        return self.at_price(high)
