"""goniec directory apply and dump: a panel says how everything should be, in one file."""
import json
import sqlite3

import pytest

from house import House

PASSWORD = "courier on foot"


@pytest.fixture
def house(tmp_path):
    with House(tmp_path / "house", {"routes": [{"domain": "*", "via": "discard"}]}, accounts=(("anna@example.org", PASSWORD),)) as house:
        yield house


@pytest.fixture
def apply(house, tmp_path):
    def run(what, *options, check=True):
        path = tmp_path / "wanted.json"
        path.write_text(what if isinstance(what, str) else json.dumps(what))
        return house.run("directory", "apply", path, *options, check=check)
    return run


def hash_of(house, login="anna@example.org"):
    accounts = json.loads(house.run("directory", "dump", "--hashes").stdout)["accounts"]
    return next(account["hash"] for account in accounts if account["login"] == login)


WANTED = {
    "server": {"settings": {"language": "pl"}},
    "customers": [{"name": "acme", "title": "ACME Ltd", "settings": {"limit": ["recipients 5000/1d"]}}],
    "domains": [{"name": "Acme.Example", "customer": "acme", "settings": {"from": "domain"}}],
    "accounts": [{"login": "shop@acme.example", "name": "Shop", "aliases": ["sales@acme.example", "*@shop.example"],
                  "settings": {"limit": ["messages 50/1h", "recipients 300/1h burst 50"]}}],
}


def wanted(house, **account):
    what = json.loads(json.dumps(WANTED))
    what["accounts"][0].update({"hash": hash_of(house)}, **account)
    return what


def test_what_the_file_says_is_so(house, apply):
    what = wanted(house)
    assert "would be made; nothing was changed" in apply(what, "--dry-run").stdout
    assert house.json("customer", "list") and all(one["name"] != "acme" for one in house.json("customer", "list"))
    text = apply(what).stdout
    for line in ("+ customer acme", "+ domain acme.example", "+ account shop@acme.example", '~ server server: language [] -> ["pl"]',
                 '~ account shop@acme.example: limit [] -> ["messages 50/1h", "recipients 300/1h burst 50"]'):
        assert line in text, text
    shown = house.json("account", "show", "shop@acme.example")
    assert shown["customer"] == "acme" and shown["domain"] == "acme.example" and shown["name"] == "Shop"
    assert sorted(shown["aliases"]) == ["*@shop.example", "sales@acme.example"]
    assert shown["settings"]["limit"] == ["messages 50/1h", "recipients 300/1h burst 50"]
    import test_tree
    assert test_tree.log_in(house, "shop@acme.example", PASSWORD)[0] == 235
    assert apply(what).stdout == "0 changes\n"
    assert house.run("audit", "shop@acme.example").stdout


def test_what_a_dump_says_is_so_already(house, apply, tmp_path):
    apply(wanted(house))
    house.run("customer", "suspend", "acme", "--reason", "unpaid bill")
    dump = house.run("directory", "dump", "--hashes").stdout
    assert apply(dump, "--prune").stdout == "0 changes\n"
    assert "hash" not in house.run("directory", "dump").stdout
    other = tmp_path / "other.db"
    house.run("directory", "apply", tmp_path / "wanted.json", "--database", other)
    assert json.loads(house.run("directory", "dump", "--hashes", "--database", other).stdout) == json.loads(dump)


def test_changes_and_what_is_gone(house, apply):
    apply(wanted(house))
    what = wanted(house, name="Shop two", aliases=["other@acme.example"], settings={}, suspended=True, reason="stolen")
    done = json.loads(apply(what, "--json").stdout)
    assert {(one["do"], *one["what"]) for one in done} == {("change", "title"), ("change", "suspended"), ("change", "limit"),
                                                           ("change", "alias-added"), ("change", "alias-removed")}
    shown = house.json("account", "show", "shop@acme.example")
    assert shown["suspended"] and shown["reason"] == "stolen" and shown["aliases"] == ["other@acme.example"] and shown["settings"] == {}
    del what["accounts"][0], what["domains"][0]
    assert "shop" not in apply(what).stdout # what is not named stays
    text = apply(what, "--prune").stdout
    assert {"- account shop@acme.example", "- account anna@example.org", "- domain acme.example", "- domain example.org"} <= set(text.splitlines())
    assert house.json("account", "list") == [] and [one["name"] for one in house.json("customer", "list")] == ["acme", "default"]


@pytest.mark.parametrize("change,why", [
    ({"acounts": []}, 'there is no "acounts"'),
    ({"domains": [{"name": "x.example", "customer": "nobody"}]}, "domains[0]: there is no customer nobody"),
    ({"customers": [{"name": "new"}, {"name": "other", "setings": {}}]}, 'customers[1]: there is no "setings" of a customer'),
    ({"accounts": [{"login": "new@example.org"}]}, 'accounts[0]: a new account needs "hash"'),
    ({"accounts": [{"login": "new@example.org", "hash": "plain"}]}, '"hash" is none that goniec knows'),
    ({"accounts": [{"login": "anna@example.org", "settings": {"limit": "many"}}]}, "limit=many: "),
    ({"accounts": [{"login": "anna@example.org", "settings": {"language": ["pl", "en"]}}]}, "said too often"),
    ({"accounts": [{"login": "anna@example.org"}, {"login": "Anna@EXAMPLE.org"}]}, "stands there twice"),
    ({"accounts": [{"login": "anna@example.org", "aliases": ["nothing"]}]}, "nothing is no mail address"),
    ({"accounts": [{"login": "anna@example.org", "name": "a\nb"}]}, "accounts[0]"),
    ({"accounts": {}}, "a list is expected"), ({"accounts": ["anna@example.org"]}, "an object is expected"),
    ("[]", "an object is expected"), ('{"accounts": [}', ":1:15: "), ('{"server": {}, "server": {}}', "duplicate"),
])
def test_a_mistake_is_named_and_nothing_is_changed(house, apply, change, why):
    before = house.run("directory", "dump", "--hashes").stdout
    what = change if isinstance(change, str) else {"customers": [{"name": "first"}], **change}
    done = apply(what, "--prune", check=False)
    assert done.returncode != 0 and why in done.stderr, done.stderr
    assert house.run("directory", "dump", "--hashes").stdout == before


def test_what_has_something_below_it_is_not_pruned_with_it(house, apply):
    done = apply({"domains": []}, "--prune", check=False)
    assert done.returncode != 0 and "something that stays lies below it" in done.stderr
    assert house.json("account", "list")


def test_ten_thousand_accounts_in_one_go(house, apply):
    form = hash_of(house)
    accounts = [{"login": f"user{i}@big.example", "hash": form, "settings": {"limit": [f"messages {i + 1}/1d"]}} for i in range(10000)]
    assert apply({"accounts": accounts}).stdout.endswith("20000 changes\n")
    assert apply({"accounts": accounts}).stdout == "0 changes\n"
    with sqlite3.connect(house.folder / "state/accounts.db" if (house.folder / "state/accounts.db").exists() else
                         next(house.folder.rglob("accounts.db"))) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
