"""Phrases of the corpus about price, service, contract or no concern, in the notation of `phrases`."""

from training.messenger.corpus.phrases import lines

STATEMENTS: dict[str | None, tuple[str, ...]] = {
    "price": lines("""
We know {bills|costs|prices} {add|can add} up.
Every bill counts when budgets are tight.
Good service should {also |}be affordable.
We want your plan to {fit|suit} your budget.
We know the price {has to|needs to} be right.
Value for money {matters|is important}, and we'd like you to get it from us.
If {the cost|the price|your budget} has been on your mind, {we understand|we'd like to help}.
What you pay should {feel fair|be worth it|be money well spent}.
We'd like to help with {the monthly cost|what you pay each month}.
Your budget matters to us{, too|}.
Staying with us should be easy on {your|the} wallet.
Nobody likes {paying too much|paying more than they need to}.
Prices have {gone up|been rising} everywhere, and we know {you feel it|it's not easy}.
We'd like [PLAN] to {stay affordable|fit your budget}.
It should be easy to afford {the plan you like|[PLAN]|what you use}.
You work hard for your money, and {we respect that|it should go far}.
A fair price is part of {good service|looking after you}.
Money is tight for many {people |}{right now|these days}, and we want to {help|do our part}.
"""),
    "service": lines("""
We want {our|your} service to {work well|run smoothly|be reliable} for you.
Good service {should be a given|is what you signed up for}.
If {anything with our service|our support|our service} {fell short|let you down}, we're sorry.
We know how {annoying|tiring} it is when {the service doesn't work|a problem isn't solved|support is slow}.
We're working to make {the service|our support} {better|faster|more reliable} for you.
You deserve {support|a service} you can {count|rely} on.
If {a problem|trouble} has been {bothering|slowing} you, {we'd like to fix it|our support team can help}.
When something isn't working, our team {wants to know|is here for you}.
Support should be {easy to reach|there when you need it|a message away}.
We'd like to be {better|quicker} at {support|helping when there's a problem}.
Your experience with {us|[PLAN]|our service} should be {a smooth one|good}.
We know that {good support|reliable service|quality} matters{ to you|}.
Things should just work, and {when they don't|if they don't}, we want to {fix them|put them right}.
Nobody should have to wait {for help|long for support}.
Our support team is {here|ready} {if something isn't right|when you need a hand}.
The {quality of our service|service you get} {is our job|matters to us}.
[PLAN] should {work well|run smoothly} {for you |}every day.
We take {problems|service problems} seriously{, even small ones|}.
"""),
    "contract": lines("""
We like to keep {contracts|terms} simple.
A contract should fit your life{, not the other way round|}.
We {don't|wouldn't} want you to feel tied {down|to anything}.
We know {flexibility|being flexible|the freedom to choose} matters{ to you|}.
Nobody likes {small print|feeling locked in|feeling tied to a contract}.
Life changes, and {your contract|your terms} should keep up.
We want your {contract|agreement} to work for you.
Choosing the right {contract|terms} should be easy.
We'd like your {contract|terms} to {suit|fit} you.
Commitment goes both ways{, and we mean it|}.
You should stay because you want to, not because {a contract says so|of small print}.
Clear terms {matter|come first} {to us|here|with us}.
If {your contract|your renewal|a commitment} has been on your mind, {we're here|we understand|we'd like to help}.
{Contracts|Terms} can be confusing, and we'd like to make {them easy|that easier}.
Freedom to {choose|change} is part of {what we offer|good service|[PLAN]}.
It should be easy to {change|renew} your contract, or to leave it as it is.
Your contract is {yours to decide|your choice}, and we {respect|like} that.
Nobody should be {stuck with|held by} terms that don't fit.
"""),
    None: lines("""
We'd {love|like} to keep you{ with us|}.
We want you to be happy {here|with us|with [PLAN]}.
{You matter|Having you here matters} to us.
Good customers deserve {good care|a little extra care}.
We'd like {things|[PLAN]} to stay good for you.
We hope {all is well|everything is going well}{ with [PLAN]|}.
We were thinking of you{ today|}.
We hope you'll be with us for a long time.
Your happiness with us {counts|matters}.
We'd {like|love} to do something nice for you.
Looking after you is {what we're here for|our favourite job}.
We hope we've made {life|your days} a little easier.
Customers like you {keep us going|make our work worthwhile}.
You've made a good choice, and we'd like to {live up to it|keep it that way}.
We like having you around.
A small sign of our thanks is overdue.
"""),
}
"""Statements about the concern, for messages with and without an offer."""

LEADS: dict[str | None, tuple[str, ...]] = {
    "price": lines("""
To {ease|help with} the cost,
To {keep|make} things affordable,
To help your budget,
"""),
    "service": lines("""
To make up for any trouble with our service,
While we {work on|improve} our {service|support},
For the times our {service|support} fell short,
"""),
    "contract": lines("""
With no {new contract|new commitment|change to your contract},
Without any {new commitment|small print},
Because you should stay by choice, not by contract,
"""),
    None: lines("""
To say {thanks|thank you},
As a thank you,
As a token of our thanks,
Because we'd like to keep you,
"""),
}
"""Openings of an offer that address the concern."""

AFTERWORDS: dict[str | None, tuple[str, ...]] = {
    "price": lines("""
That's {a little |}less to pay.
It should help {your|the} budget{ a little|}.
Every saving helps.
"""),
    "service": lines("""
And if anything isn't working, our support team is here.
And our support team is {here|there} {for you|if you need help}.
Any problem with the service? We're here to help.
"""),
    "contract": lines("""
{It adds|There's} no new {commitment|contract}.
{Your contract stays|Your terms stay} as before.
There's nothing to sign{ and no commitment|}.
"""),
    None: lines("""
It's our way of saying thanks.
You've earned it.
It comes with our thanks.
"""),
}
"""Sentences that address the concern after the offer."""

QUESTIONS: dict[str | None, tuple[str, ...]] = {
    "price": lines("""
Does {the price|what you pay} still feel {right|fair}{ to you|}?
Is {your plan|[PLAN]} still worth {the price|what you pay}?
Does {your plan|[PLAN]} still {fit|suit} your budget?
Is there anything about {the cost|the price} we should {know|look at}?
What would make the price feel {right|fair}?
Would another plan {fit|suit} your budget better?
Are you happy with what you pay{ for [PLAN]| each month|}?
How do you feel about the {price|cost}{ of [PLAN]| of your plan|}?
"""),
    "service": lines("""
Is {the|your} service working {as it should|the way you want|well}?
How has {our service|our support} been {for you|lately}?
Has anything about our service {bothered you|let you down|been a problem} {lately|recently}?
What could our {support|service} team do better{ for you|}?
Is there a problem we {can|could} {solve|fix} for you?
Did our {support|service} team give you the help you needed?
Are you getting the {support|service} you expect?
Is {[PLAN]|your plan} working without problems?
"""),
    "contract": lines("""
Does your contract still {suit|fit} you?
Do your terms still {suit|fit} {you|your life|the way you live}?
Would {another|a different} {contract|kind of contract} {suit|fit} you better?
Is there anything {in|about} your {contract|terms} you'd {change|like to change|like explained}?
Would you {prefer|like} more flexible terms?
Is your {contract|agreement} clear {enough|to you}?
Do you have questions about {your contract|your terms|renewing}?
What would make your {contract|terms} work better for you?
"""),
    None: lines("""
Is there anything we could do better{ for you|}?
How are things {going|with us|with [PLAN]}?
Are you happy with {[PLAN]|your plan|us}{ so far|}?
What {could|can} we do better{ for you|}?
What would make {your plan|[PLAN]|things} better for you?
Is {[PLAN]|your plan} still right for you?
Is there something you'd like us to {know|change|do differently}?
How do you like {[PLAN]|being with us}?
"""),
}
"""Questions of a message without an offer."""
