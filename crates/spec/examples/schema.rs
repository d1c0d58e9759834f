//! Prints the JSON Schema of plimsoll.yaml.

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn main() {
    println!("{}", plimsoll_spec::schema());
}
